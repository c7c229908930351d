#include "repository/container.h"

#include <algorithm>

#include "core/error.h"
#include "storage/object_store.h"

namespace holdfast {
namespace {

// A record is cut into chunks of this size.
constexpr std::size_t kRecordChunkBytes = std::size_t{1} << 20U;
// The root of a manifest is the largest: about 50 bytes for each pack of 32 MiB.
constexpr std::size_t kMaxRecordBytes = std::size_t{512} << 20U;

constexpr std::size_t kMagicAt = 0, kVersionAt = 8, kKindAt = 10, kCipherAt = 11, kZeroAt = 12,
                      kRepositoryAt = 16, kSaltAt = 32, kReservedAt = 48;

[[noreturn]] void damaged(std::string_view name, std::string_view why) {
  throw Error(ErrorKind::kDamage, fmt::format("damaged object: {}", why),
              {.object = std::string(name),
               .hint = "Run 'holdfast verify' to see what else is damaged, and restore this object "
                       "from another copy of the repository if there is one."});
}

void check_trailer(ByteView object, std::string_view name) {
  if (object.size() < kContainerHeaderBytes + kContainerTrailerBytes) damaged(name, "too short");
  const ByteView body = object.first(object.size() - kContainerTrailerBytes);
  const ByteView trailer = object.last(kContainerTrailerBytes);
  const auto chunks = load_le<std::uint32_t>(trailer.data());
  const auto expected = make_trailer(body, chunks);
  if (!std::ranges::equal(trailer, expected)) damaged(name, "its checksum does not match");
}

ContainerHeader decode_header(ByteView header, std::string_view name) {
  if (std::memcmp(header.data() + kMagicAt, kContainerMagic.data(), kContainerMagic.size()) != 0) {
    damaged(name, "it does not begin as a Holdfast object");
  }
  const auto version = load_le<std::uint16_t>(header.data() + kVersionAt);
  if (version > kFormatVersion) {
    throw Error(ErrorKind::kNewerFormat,
                fmt::format("written in format {} by a newer Holdfast; this one reads up to {}",
                            version, kFormatVersion),
                {.object = std::string(name), .hint = "Upgrade Holdfast on this machine."});
  }
  const auto kind = load_le<std::uint8_t>(header.data() + kKindAt);
  const auto cipher = load_le<std::uint8_t>(header.data() + kCipherAt);
  if (kind < 1 || kind > std::uint8_t(ContainerKind::kAudit) || cipher > 1 ||
      load_le<std::uint32_t>(header.data() + kZeroAt) != 0 ||
      !is_zero(header.subspan(kReservedAt, kContainerHeaderBytes - kReservedAt))) {
    damaged(name, "its header makes no sense");
  }
  ContainerHeader decoded{.kind = ContainerKind{kind}, .cipher = Cipher{cipher}};
  std::memcpy(decoded.repository_id.data(), header.data() + kRepositoryAt, 16);
  std::memcpy(decoded.salt.data(), header.data() + kSaltAt, 16);
  return decoded;
}

}  // namespace

std::string_view to_string(ContainerKind kind) {
  switch (kind) {
    case ContainerKind::kDescriptor:
      return "repository descriptor";
    case ContainerKind::kKeys:
      return "key slots";
    case ContainerKind::kHistory:
      return "history record";
    case ContainerKind::kBegin:
      return "begin record";
    case ContainerKind::kOutcome:
      return "commit record";
    case ContainerKind::kManifest:
      return "manifest";
    case ContainerKind::kDataPack:
      return "data pack";
    case ContainerKind::kMapPack:
      return "map pack";
    case ContainerKind::kProof:
      return "proof";
    case ContainerKind::kWal:
      return "WAL file";
    case ContainerKind::kWalPart:
      return "part of a WAL file";
    case ContainerKind::kWalRollUp:
      return "WAL roll-up";
    case ContainerKind::kHold:
      return "hold";
    case ContainerKind::kIntent:
      return "intent";
    case ContainerKind::kTombstone:
      return "tombstone";
    case ContainerKind::kWalMark:
      return "mark of WAL that goes";
    case ContainerKind::kDroppedWal:
      return "record of dropped WAL";
    case ContainerKind::kAudit:
      return "copy of the audit log";
  }
  return "object";
}

void encode_header(const ContainerHeader& header, MutableByteView out) {
  HF_INVARIANT(out.size() == kContainerHeaderBytes);
  std::ranges::fill(out, std::byte{0});
  std::memcpy(out.data() + kMagicAt, kContainerMagic.data(), kContainerMagic.size());
  store_le(out.data() + kVersionAt, kFormatVersion);
  store_le(out.data() + kKindAt, static_cast<std::uint8_t>(header.kind));
  store_le(out.data() + kCipherAt, static_cast<std::uint8_t>(header.cipher));
  std::memcpy(out.data() + kRepositoryAt, header.repository_id.data(), 16);
  std::memcpy(out.data() + kSaltAt, header.salt.data(), 16);
}

std::array<std::byte, kContainerTrailerBytes> make_trailer(ByteView container,
                                                           std::uint32_t chunk_count) {
  std::array<std::byte, kContainerTrailerBytes> trailer{};
  store_le(trailer.data(), chunk_count);
  store_le(trailer.data() + 8, std::uint64_t{container.size() + kContainerTrailerBytes});
  // The checksum covers the trailer's own counts too: it is seeded by hashing them behind the body.
  const Checksum128 body = xxh3_128(container);
  std::array<std::byte, 32> both{};
  std::memcpy(both.data(), body.data(), 16);
  std::memcpy(both.data() + 16, trailer.data(), 16);
  const Checksum128 sum = xxh3_128(both);
  std::memcpy(trailer.data() + 16, sum.data(), 16);
  return trailer;
}

ContainerHeader parse_header(ByteView header, std::string_view name) {
  HF_INVARIANT(header.size() == kContainerHeaderBytes);
  return decode_header(header, name);
}

ContainerHeader check_container(ByteView object, std::string_view name) {
  check_trailer(object, name);
  return decode_header(object.first(kContainerHeaderBytes), name);
}

namespace {

using VisitSealed =
    std::function<void(std::uint32_t offset, std::uint32_t length, const ChunkKey::Opened& opened)>;

void walk_chunks(MutableByteView object, const ContainerHeader& header, const RepositoryKeys& keys,
                 std::string_view name, const VisitSealed& visit) {
  const bool is_pack =
      header.kind == ContainerKind::kDataPack || header.kind == ContainerKind::kMapPack;
  const ChunkKey key(header.cipher, keys.data_key, header.salt, is_pack ? name : "");
  const std::size_t end = object.size() - kContainerTrailerBytes;
  const auto expected = load_le<std::uint32_t>(object.data() + end);
  std::uint32_t count = 0;
  for (std::size_t at = kContainerHeaderBytes; at < end; ++count) {
    if (end - at < kChunkOverheadBytes) damaged(name, "a chunk does not fit");
    const std::uint32_t length = sealed_length(object.subspan(at, kChunkHeaderBytes), end - at);
    ChunkKey::Opened opened{};
    try {
      opened = key.open(object.subspan(at, length));
    } catch (const Error&) {
      // The object's checksum matched, so these are the bytes that were written: the key is not
      // the one they were written with.
      throw Error(
          ErrorKind::kWrongKey, "the repository's key does not open it",
          {.object = std::string(name),
           .hint = "The object was written with another key: another repository's files may "
                   "have been copied in here."});
    }
    if (opened.ordinal != at) damaged(name, "a chunk is not in the place it was written to");
    visit(static_cast<std::uint32_t>(at), length, opened);
    at += length;
  }
  if (count != expected) damaged(name, "it holds another number of chunks than it says");
}

}  // namespace

void open_chunks(MutableByteView object, const ContainerHeader& header, const RepositoryKeys& keys,
                 std::string_view name, const std::function<void(const OpenedChunk&)>& visit) {
  Decompressor decompressor;
  Buffer plain(kMaxChunkPlainBytes);
  walk_chunks(object, header, keys, name,
              [&](std::uint32_t offset, std::uint32_t length, const ChunkKey::Opened& opened) {
                const MutableByteView out = plain.span().first(opened.plain_length);
                try {
                  decompressor.decompress(opened.compression, opened.payload, out);
                } catch (Error& error) {
                  throw error.about(name);
                }
                visit({offset, length, out});
              });
}

void authenticate_chunks(MutableByteView object, const ContainerHeader& header,
                         const RepositoryKeys& keys, std::string_view name,
                         const std::function<void(const ChunkPlace&)>& visit) {
  walk_chunks(object, header, keys, name,
              [&](std::uint32_t offset, std::uint32_t length, const ChunkKey::Opened& opened) {
                visit({offset, length, opened.plain_length});
              });
}

void reseal_pack(MutableByteView pack, const ContainerHeader& header, const PackPlace& from,
                 const PackPlace& to) {
  const bool sealed_alike = header.cipher == Cipher::kNone && to.keys.cipher == Cipher::kNone;
  const ChunkKey key(to.keys.cipher, to.keys.data_key, header.salt, to.name);
  Bytes payload;
  std::uint32_t chunks = 0;
  walk_chunks(pack, header, from.keys, from.name,
              [&](std::uint32_t offset, std::uint32_t length, const ChunkKey::Opened& opened) {
                ++chunks;
                if (sealed_alike) return;
                payload.assign(opened.payload.begin(), opened.payload.end());
                key.seal(offset, opened.plain_length, opened.compression, payload,
                         pack.subspan(offset, length));
              });
  ContainerHeader moved = header;
  moved.cipher = to.keys.cipher;
  moved.repository_id = to.keys.repository_id;
  encode_header(moved, pack.first(kContainerHeaderBytes));
  const auto trailer = make_trailer(pack.first(pack.size() - kContainerTrailerBytes), chunks);
  std::ranges::copy(trailer, pack.last(kContainerTrailerBytes).begin());
}

PackedChunk pack_chunk(Compressor& compressor, ByteView plain) {
  const Compressor::Result packed = compressor.compress(plain);
  return {static_cast<std::uint32_t>(plain.size()), packed.compression, to_bytes(packed.payload)};
}

Bytes seal_container(ContainerKind kind, const RepositoryKeys& keys, Cipher cipher,
                     std::span<const PackedChunk> chunks) {
  const ContainerHeader header{
      .kind = kind, .cipher = cipher, .repository_id = keys.repository_id, .salt = random_salt()};
  const ChunkKey key(cipher, keys.data_key, header.salt);
  std::size_t length = kContainerHeaderBytes + kContainerTrailerBytes;
  for (const PackedChunk& chunk : chunks) length += chunk.payload.size() + kChunkOverheadBytes;
  HF_INVARIANT(length <= kMaxObjectBytes);
  Bytes object;
  object.reserve(length);
  object.resize(kContainerHeaderBytes);
  encode_header(header, object);
  for (const PackedChunk& chunk : chunks) {
    const std::size_t at = object.size();
    object.resize(at + chunk.payload.size() + kChunkOverheadBytes);
    key.seal(static_cast<std::uint32_t>(at), chunk.plain_length, chunk.compression, chunk.payload,
             MutableByteView(object).subspan(at));
  }
  const auto trailer = make_trailer(object, static_cast<std::uint32_t>(chunks.size()));
  object.insert(object.end(), trailer.begin(), trailer.end());
  return object;
}

Bytes seal_record(ContainerKind kind, const RepositoryKeys& keys, Cipher cipher, ByteView plain) {
  Compressor compressor({Compression::kZstd, 3});
  std::vector<PackedChunk> chunks;
  do {
    const ByteView piece = plain.first(std::min(plain.size(), kRecordChunkBytes));
    plain = plain.subspan(piece.size());
    chunks.push_back(pack_chunk(compressor, piece));
  } while (!plain.empty());
  return seal_container(kind, keys, cipher, chunks);
}

Bytes open_record(ContainerKind kind, const RepositoryKeys& keys, Bytes object,
                  std::string_view name) {
  const ContainerHeader header = check_container(object, name);
  if (header.kind != kind) {
    damaged(name,
            fmt::format("it is a {} where a {} belongs", to_string(header.kind), to_string(kind)));
  }
  if (header.repository_id != keys.repository_id) {
    throw Error(ErrorKind::kRefused, "the object belongs to another repository",
                {.object = std::string(name),
                 .hint = "Files of two repositories were mixed. Do not write to this one before "
                         "you know how that happened."});
  }
  // A record that says it is not encrypted in an encrypted repository was not written by us.
  const bool readable_by_design =
      kind == ContainerKind::kDescriptor || kind == ContainerKind::kKeys;
  if (!readable_by_design && header.cipher != keys.cipher) damaged(name, "it is not encrypted");
  Bytes plain;
  open_chunks(object, header, keys, name, [&](const OpenedChunk& chunk) {
    if (plain.size() + chunk.plain.size() > kMaxRecordBytes) damaged(name, "it is too large");
    plain.insert(plain.end(), chunk.plain.begin(), chunk.plain.end());
  });
  return plain;
}

}  // namespace holdfast
