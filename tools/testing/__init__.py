"""What ./test is made of: tiers of checks and GoogleTest programs, run and counted."""
