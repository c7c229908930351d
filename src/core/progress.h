#pragma once
// How a long operation tells how far it is. The operation knows nothing of terminals: it is given
// a Progress and reports into it; src/cli draws it, tests count with it, NullProgress drops it.
// Threads: every function may be called from any thread at any time; advance() is meant for inner
// loops and must cost no more than an atomic addition.
// Lifetime: the caller keeps the Progress alive until the operation has returned.

#include <cstdint>
#include <string_view>

namespace holdfast {

class Progress {
 public:
  virtual ~Progress() = default;

  // A new phase begins and the count starts again at 0. `total_bytes` 0: not known.
  virtual void phase(std::string_view name, std::uint64_t total_bytes) = 0;
  virtual void advance(std::uint64_t bytes) = 0;
  // What is being worked on, in a few words ("waiting for the checkpoint"). Replaces the last one;
  // gone with the phase.
  virtual void note(std::string_view text) = 0;
};

class NullProgress final : public Progress {
 public:
  void phase(std::string_view, std::uint64_t) override {}
  void advance(std::uint64_t) override {}
  void note(std::string_view) override {}
};

// A NullProgress that is always there, for default arguments.
Progress& null_progress();

}  // namespace holdfast
