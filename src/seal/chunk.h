#pragma once
// Chunk: the unit of compression, encryption and integrity. Bytes in, sealed chunk out.
//
// Layout of a sealed chunk (docs/repository-format.md has it byte for byte), little-endian:
//   header, 16 bytes: u32 sealed length (whole chunk), u32 plain length, u8 compression, u8 zero,
//                     u16 zero, u32 ordinal (0, 1, 2 ... within its container)
//   payload:          the plain bytes, compressed (as is where that does not pay), then encrypted
//   tag, 16 bytes:    AES-256-GCM tag with the header as additional data, or, where the repository
//                     is not encrypted, XXH3-128 (canonical form) of header and payload
// Compressed payloads: zstd is one frame (RFC 8878) without checksum and content size, lz4 is one
// raw block, gzip is one raw deflate stream (RFC 1951) without zlib or gzip framing. A compressed
// payload is always shorter than the plain bytes.
//
// The key is derived per container: HKDF of the data key, salt: the container's random salt, info
// "holdfast pack key v0", and behind it, for packs, the object's name: `copy` takes packs over from
// another repository with their salts, which nobody vouches for where that one is not encrypted, so
// a salt alone may not choose a key. The nonce is the ordinal (u32) and eight zero bytes: it cannot
// repeat under one key as long as a container never gives out an ordinal twice. The seed of the
// checksum is the first eight bytes of the salt (u64). A chunk from another container, or whose
// ordinal was changed, therefore does not open; a chunk that was moved within its container opens
// and says its true ordinal, which the container compares with the one that it asked for.
//
// Errors: a chunk that does not open is Error(kDamage); a length or compression that this build
// does not know is kDamage too, because the container's version was checked before. A level that
// the chosen compression lacks is Error(kConfiguration).
// Threads: Compressor and Decompressor belong to one thread at a time; ChunkKey is immutable and
// shared.
// Memory: decompressing never writes beyond the plain bytes that the caller gave it.

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
  int level = 1;  // zstd: -50 to 19, not 0; gzip: 1 to 9; lz4 and none ignore it
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
    ByteView payload;  // into a buffer of this object (valid until the next call), or `plain`
  };
  Result compress(ByteView plain);  // at most kMaxChunkPlainBytes

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
  // `data_key` is used only with kAes256Gcm. `bound_to`: the object's name, of a pack.
  ChunkKey(Cipher cipher, const Secret& data_key, const Salt& salt, std::string_view bound_to = {});

  // Writes header, payload and tag to `out`, which is payload.size() + kChunkOverheadBytes long and
  // does not overlap the payload. The payload is what Compressor made of `plain_length` bytes.
  void seal(std::uint32_t ordinal, std::uint32_t plain_length, Compression compression,
            ByteView payload, MutableByteView out) const;

  struct Opened {
    std::uint32_t ordinal;
    std::uint32_t plain_length;
    Compression compression;
    ByteView payload;  // into the chunk that was passed, decrypted in place
  };
  // Checks and decrypts `sealed` in place; sealed is exactly one chunk. After an error its bytes
  // are worthless.
  Opened open(MutableByteView sealed) const;

 private:
  // Whether the tag matches; decrypts in place.
  bool authentic(std::uint32_t ordinal, MutableByteView sealed) const;

  Cipher cipher_;
  Secret key_;
  std::uint64_t seed_ = 0;
};

// The length of the chunk that begins here, if `header` (16 bytes) can be the header of one that is
// at most `limit` bytes long; otherwise Error(kDamage). Nothing else in it is believed yet.
std::uint32_t sealed_length(ByteView header, std::size_t limit);

}  // namespace holdfast
