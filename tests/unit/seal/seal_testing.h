#pragma once
// What the tests of seal share: fixed keys, seeded random content, sealing in one call.

#include <cstdlib>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "core/bytes.h"
#include "core/error.h"
#include "seal/chunk.h"

namespace holdfast::seal_testing {

inline std::string hex(ByteView bytes) {
  return to_hex(bytes);
}

inline Secret secret_of(unsigned char fill) {
  return Secret(Bytes(Secret::kBytes, static_cast<std::byte>(fill)));
}

inline Salt salt_of(unsigned char fill) {
  Salt salt;
  salt.fill(static_cast<std::byte>(fill));
  return salt;
}

// Printed with every failure through SCOPED_TRACE; HOLDFAST_TEST_SEED repeats a run.
inline std::uint64_t random_seed() {
  if (const char* text = std::getenv("HOLDFAST_TEST_SEED")) return std::strtoull(text, nullptr, 10);
  return std::random_device{}();
}

class Content {
 public:
  explicit Content(std::uint64_t seed) : engine_(seed) {}

  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(engine_);
  }
  // Somewhere between zeros, text of few letters and noise, so that compressing pays or not.
  Bytes bytes(std::size_t size) {
    const std::size_t letters = std::array<std::size_t, 5>{1, 2, 17, 97, 256}[below(5)];
    std::uniform_int_distribution<unsigned> any(0, static_cast<unsigned>(letters - 1));
    Bytes out(size);
    for (std::byte& byte : out) byte = static_cast<std::byte>(any(engine_));
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

struct Place {
  std::uint32_t ordinal = 0;
};

inline Bytes sealed(const ChunkKey& key, Place place, ByteView plain,
                    CompressionChoice choice = {}) {
  Compressor compressor(choice);
  const auto [compression, payload] = compressor.compress(plain);
  Bytes out(payload.size() + kChunkOverheadBytes);
  key.seal(place.ordinal, static_cast<std::uint32_t>(plain.size()), compression, payload, out);
  return out;
}

inline Bytes opened(const ChunkKey& key, Bytes sealed_chunk) {
  const auto chunk = key.open(sealed_chunk);
  Bytes plain(chunk.plain_length);
  Decompressor().decompress(chunk.compression, chunk.payload, plain);
  return plain;
}

// What kind of error `action` ends with; the test fails when it ends well.
template <class Action>
ErrorKind error_kind(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no error was thrown";
  return ErrorKind::kBug;
}

}  // namespace holdfast::seal_testing
