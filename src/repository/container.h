#pragma once
// Container: the one shape of every object in a repository, from the smallest record to a pack of
// data. A 64-byte header, sealed chunks (seal/chunk.h) one after the other, a 32-byte trailer.
//
//   header:  magic (8), u16 version, u8 kind, u8 cipher, u32 zero, repository id (16), salt (16),
//            16 bytes zero
//   trailer: u32 number of chunks, u32 zero, u64 length of the whole object,
//            XXH3-128 of everything before (16)
//
// The trailer is checked before anything else is believed, so that damage, a wrong key and a newer
// version are three different errors: a bad checksum is kDamage; a good one with a higher version
// is kNewerFormat; a good one whose chunks do not open is kWrongKey. A ranged read of one chunk
// does without the trailer: the chunk's own tag covers it.
//
// The number that a chunk is sealed with is its own offset in the object: unique, so that no nonce
// repeats, and it tells a chunk that was moved within its object, also to a ranged read.
//
// Records (descriptor, key slots, history, begin, outcome, proofs, holds, intents, tombstones,
// marks of WAL, audit log) hold JSON, the manifest holds its binary root, both cut into chunks of 1
// MiB; packs hold chunks of files or of maps.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "seal/chunk.h"
#include "seal/hash.h"

namespace holdfast {

// First eight bytes of SHA-256("Holdfast repository object"), so that no other format has them.
inline constexpr std::array<std::uint8_t, 8> kContainerMagic{0x5b, 0x5f, 0x93, 0x47,
                                                             0x51, 0xbd, 0xbf, 0x15};
inline constexpr std::uint16_t kFormatVersion = 0;
inline constexpr std::size_t kContainerHeaderBytes = 64;
inline constexpr std::size_t kContainerTrailerBytes = 32;

enum class ContainerKind : std::uint8_t {
  kDescriptor = 1,
  kKeys = 2,
  kHistory = 3,
  kBegin = 4,
  kOutcome = 5,
  kManifest = 6,
  kDataPack = 7,
  kMapPack = 8,
  kProof = 9,
  kWal = 10,
  kWalPart = 11,
  kWalRollUp = 12,
  kHold = 13,
  kIntent = 14,
  kTombstone = 15,
  kWalMark = 16,
  kDroppedWal = 17,
  kAudit = 18,
};
std::string_view to_string(ContainerKind kind);

using RepositoryId = std::array<std::byte, 16>;

// What every object of one repository is sealed with.
struct RepositoryKeys {
  RepositoryId repository_id{};
  Cipher cipher = Cipher::kNone;
  Secret data_key;  // all zero without encryption
};

struct ContainerHeader {
  ContainerKind kind = ContainerKind::kDescriptor;
  Cipher cipher = Cipher::kNone;
  RepositoryId repository_id{};
  Salt salt{};
};

void encode_header(const ContainerHeader& header, MutableByteView out);  // kContainerHeaderBytes
// `container` is header and chunks; appends nothing, returns the trailer that belongs behind it.
std::array<std::byte, kContainerTrailerBytes> make_trailer(ByteView container,
                                                           std::uint32_t chunk_count);

// The header alone, of an object that is read by ranges: nothing in it is trusted before a chunk
// has opened with the key that it leads to.
ContainerHeader parse_header(ByteView header, std::string_view name);  // kContainerHeaderBytes

// Checks trailer, magic, version and zero bytes of a whole object. `name` is for messages.
ContainerHeader check_container(ByteView object, std::string_view name);

// Opens every chunk of a checked container in turn: `visit(offset, ordinal, plain)`. Decrypts
// `object` in place. The plain bytes live until visit returns.
struct OpenedChunk {
  std::uint32_t offset = 0;  // of the sealed chunk in the object
  std::uint32_t sealed_length = 0;
  ByteView plain;
};
void open_chunks(MutableByteView object, const ContainerHeader& header, const RepositoryKeys& keys,
                 std::string_view name, const std::function<void(const OpenedChunk&)>& visit);

// The same without decompressing: tag, length and place of every chunk.
struct ChunkPlace {
  std::uint32_t offset = 0, sealed_length = 0, plain_length = 0;
};
void authenticate_chunks(MutableByteView object, const ContainerHeader& header,
                         const RepositoryKeys& keys, std::string_view name,
                         const std::function<void(const ChunkPlace&)>& visit);

// Makes of a checked pack the same pack in another place: another repository, another name, or
// both. Every chunk is opened with the one's key and sealed with the other's, and not decompressed.
// Kind, salt, offsets and lengths stay, because a sealed chunk is as long with any cipher; header
// and trailer are the new repository's. The same pack resealed twice is the same bytes. Why the
// salt may stay: a pack's key comes of the data key, the salt and the pack's name, and a name is
// used once; so whoever chose the salt, no nonce meets a key that it met before. Works in place.
// Errors: as authenticate_chunks(); `pack` is worthless then.
struct PackPlace {
  const RepositoryKeys& keys;
  std::string_view name;
};
void reseal_pack(MutableByteView pack, const ContainerHeader& header, const PackPlace& from,
                 const PackPlace& to);

// A chunk that is compressed but not sealed yet, so that one compression serves several
// repositories.
struct PackedChunk {
  std::uint32_t plain_length = 0;
  Compression compression = Compression::kNone;
  Bytes payload;
};
PackedChunk pack_chunk(Compressor& compressor, ByteView plain);
// A container with these chunks, sealed for the repository of `keys`.
Bytes seal_container(ContainerKind kind, const RepositoryKeys& keys, Cipher cipher,
                     std::span<const PackedChunk> chunks);

// A container with `plain` in it, zstd-compressed. `cipher` kNone leaves it readable without a key.
Bytes seal_record(ContainerKind kind, const RepositoryKeys& keys, Cipher cipher, ByteView plain);
// The plain bytes of such a container of the given kind. The object is checked as described above,
// and it must belong to the repository of `keys`.
Bytes open_record(ContainerKind kind, const RepositoryKeys& keys, Bytes object,
                  std::string_view name);

}  // namespace holdfast
