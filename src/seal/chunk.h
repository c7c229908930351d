#pragma once
// Chunk: the unit of compression, encryption and integrity. Bytes in, sealed chunk out.
//
// Layout of a sealed chunk (docs/repository-format.md has it byte for byte):
//   header, 16 bytes: u32 sealed length (whole chunk), u32 plain length, u8 compression, u8 zero,
//                     u16 zero, u32 ordinal (0, 1, 2 ... within its container)
//   payload:          the plain bytes, compressed (as is where that does not pay), then encrypted
//   tag, 16 bytes:    AES-256-GCM tag, or XXH3-128 where the repository is not encrypted
// The header is authenticated. The key (or the seed of the checksum) is derived per container from
// the container's random salt, the nonce is the ordinal: a nonce cannot repeat under one key as
// long as a container never gives out an ordinal twice. A sealed chunk therefore opens only at its
// own place in its own container.
//
// Errors: a chunk that does not open is Error(kDamage); a length or compression that this build
// does not know is kDamage too, because the container's version was checked before.
// Threads: Compressor and Decompressor belong to one thread; ChunkKey is immutable and shared.

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/bytes.h"
#include "seal/secret.h"

namespace holdfast {

enum class Compression : std::uint8_t { kNone = 0, kZstd = 1, kLz4 = 2, kGzip = 3 };
enum class Cipher : std::uint8_t { kNone = 0, kAes256Gcm = 1 };

struct CompressionChoice {
  Compression compression = Compression::kZstd;
  int level = 1;  // of the chosen compression; lz4 and none ignore it
};

inline constexpr std::size_t kChunkHeaderBytes = 16;
inline constexpr std::size_t kChunkTagBytes = 16;
inline constexpr std::size_t kChunkOverheadBytes = kChunkHeaderBytes + kChunkTagBytes;
// No chunk carries more plain bytes than this; readers refuse more.
inline constexpr std::size_t kMaxChunkPlainBytes = std::size_t{4} << 20U;

using Salt = std::array<std::byte, 16>;
Salt random_salt();

// Compresses chunk after chunk with one reused context.
class Compressor {
 public:
  explicit Compressor(CompressionChoice choice);
  ~Compressor();
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;

  struct Result {
    Compression compression;  // kNone when compressing did not make it smaller
    ByteView payload;         // into a buffer of this object (valid until the next call), or `plain`
  };
  Result compress(ByteView plain);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;

  // Fills `plain` exactly; anything else is Error(kDamage).
  void decompress(Compression compression, ByteView payload, MutableByteView plain);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Key material of one container. Immutable.
class ChunkKey {
 public:
  // `data_key` is used only with kAes256Gcm.
  ChunkKey(Cipher cipher, const Secret& data_key, const Salt& salt);

  // Writes header, payload and tag to `out`, which is payload.size() + kChunkOverheadBytes long.
  void seal(std::uint32_t ordinal, std::uint32_t plain_length, Compression compression,
            ByteView payload, MutableByteView out) const;

  struct Opened {
    std::uint32_t ordinal;
    std::uint32_t plain_length;
    Compression compression;
    ByteView payload;  // into the chunk that was passed, decrypted in place
  };
  // Checks and decrypts `sealed` in place; sealed is exactly one chunk.
  Opened open(MutableByteView sealed) const;

 private:
  Cipher cipher_;
  Secret key_;
  std::uint64_t seed_ = 0;
};

// The length of the chunk that begins here, if `header` (16 bytes) can be the header of one that is
// at most `limit` bytes long; otherwise Error(kDamage). Nothing else in it is believed yet.
std::uint32_t sealed_length(ByteView header, std::size_t limit);

}  // namespace holdfast
