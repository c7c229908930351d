// Hiding secrets in any text.

#include "core/redact.h"

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

void run(ByteView input) {
  const std::string text(as_text(input));
  redact_secrets(text);
  // Whatever stands before it, with a blank or line end between: unless that opens a quote, or a
  // name is waiting for its value, the secret does not come through.
  const std::string secret = "geheimxyz";
  if (text.find(secret) != std::string::npos) return;
  const std::string shown = redact_secrets(text + "\npostgres://u:" + secret + "@h/db");
  HF_INVARIANT(shown.find(secret) == std::string::npos);
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const std::string_view text :
       {"host=a password=b 'c' d", "postgres://u:p@h/db?password=q&x=1", "\"token\": \"a\\\"b\"",
        "Authorization: a b", "PASSWORD 'a''b'", "https://h:443/x?X-Amz-Signature=a and a@b"}) {
    all.push_back(to_bytes(as_bytes(text)));
  }
  return all;
}

HOLDFAST_FUZZ_TARGET(redact, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
