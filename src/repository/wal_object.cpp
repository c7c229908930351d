#include "repository/wal_object.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/cancellation.h"
#include "core/error.h"
#include "core/fault_point.h"
#include "repository/json_text.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kContentChunkBytes = std::size_t{1} << 20U;
constexpr std::size_t kHeadBytes = std::size_t{64} << 10U;  // what a look at the head fetches
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 30U;
enum HeadChunk : std::size_t { kIdentityChunk, kSummaryChunk, kIndexChunk, kHeadChunks };

[[noreturn]] void damaged(const std::string& object, std::string_view why) {
  throw Error(ErrorKind::kDamage, fmt::format("damaged object: {}", why),
              {.object = object,
               .hint = "Other repositories that hold WAL may have this file; 'holdfast window' "
                       "shows what can be recovered."});
}

Bytes encode_identity(const std::string& object, const WalIdentity& identity) {
  Json json;
  json["object"] = object;
  json["file"] = identity.file.text;
  json["system_identifier"] = std::to_string(identity.system_identifier);
  json["wal_segment_bytes"] = identity.segment_size.bytes;
  json["bytes"] = identity.bytes;
  json["content_bytes"] = identity.content_bytes;
  json["content_xxh3_128"] = to_hex(identity.content);
  return to_bytes(as_bytes(json.dump()));
}

WalIdentity decode_identity(const std::string& object, ByteView plain) {
  try {
    const Json json = parse_json<Json>(as_text(plain));
    if (json.at("object") != object) damaged(object, "it was written under another name");
    const auto file = parse_wal_file_name(json.at("file").get<std::string>());
    const Bytes hash = from_hex(json.at("content_xxh3_128").get<std::string>());
    WalIdentity identity{
        .system_identifier = std::stoull(json.at("system_identifier").get<std::string>()),
        .segment_size = {json.at("wal_segment_bytes").get<std::uint32_t>()},
        .bytes = json.at("bytes"),
        .content_bytes = json.at("content_bytes")};
    if (!file || hash.size() != identity.content.size() || !is_valid(identity.segment_size) ||
        identity.bytes > kMaxFileBytes || identity.content_bytes > identity.bytes) {
      damaged(object, "its identity makes no sense");
    }
    identity.file = *file;
    std::ranges::copy(hash, identity.content.begin());
    return identity;
  } catch (const std::logic_error& error) {  // of stoull
    damaged(object, error.what());
  } catch (const nlohmann::json::exception& error) {
    damaged(object, error.what());
  }
}

void require_ours(const ContainerHeader& header, ContainerKind kind, const RepositoryKeys& keys,
                  const std::string& object) {
  if (header.kind != kind) {
    damaged(object,
            fmt::format("it is a {} where a {} belongs", to_string(header.kind), to_string(kind)));
  }
  if (header.repository_id != keys.repository_id) {
    throw Error(ErrorKind::kRefused, "the object belongs to another repository",
                {.object = object, .hint = "Files of two repositories were mixed."});
  }
  if (header.cipher != keys.cipher) damaged(object, "it is not sealed as this repository seals");
}

// Opens the chunks at the front of an object, of which more and more is fetched as needed.
class HeadReader {
 public:
  HeadReader(const Repository& repository, std::string object, std::uint64_t object_bytes,
             std::stop_token stop)
      : repository_(repository),
        object_(std::move(object)),
        limit_(object_bytes),
        stop_(std::move(stop)) {}

  bool open() {
    if (limit_ < kContainerHeaderBytes + kContainerTrailerBytes) damaged(object_, "too short");
    if (!fetch(std::min<std::uint64_t>(kHeadBytes, limit_))) return false;
    const ContainerHeader header =
        parse_header(ByteView(bytes_).first(kContainerHeaderBytes), object_);
    require_ours(header, ContainerKind::kWal, repository_.keys(), object_);
    key_.emplace(header.cipher, repository_.keys().data_key, header.salt);
    return true;
  }

  Bytes next_chunk() {
    need(kChunkHeaderBytes);
    const std::uint32_t length = sealed_length(ByteView(bytes_).subspan(at_, kChunkHeaderBytes),
                                               limit_ - kContainerTrailerBytes - at_);
    need(length);
    // A copy, because opening decrypts in place and a longer fetch may follow.
    Bytes sealed = to_bytes(ByteView(bytes_).subspan(at_, length));
    const ChunkKey::Opened opened = open_chunk(sealed);
    if (opened.ordinal != at_) damaged(object_, "a chunk is not in the place it was written to");
    Bytes plain(opened.plain_length);
    decompressor_.decompress(opened.compression, opened.payload, plain);
    at_ += length;
    return plain;
  }

 private:
  ChunkKey::Opened open_chunk(Bytes& sealed) const {
    try {
      return key_->open(sealed);
    } catch (Error& error) {
      throw error.about(object_);
    }
  }

  bool fetch(std::uint64_t bytes) {
    bytes_.resize(bytes);
    return repository_.store().get_range(object_, 0, bytes_, stop_);
  }

  void need(std::size_t more) {
    if (at_ + more + kContainerTrailerBytes > limit_) damaged(object_, "a chunk does not fit");
    if (at_ + more <= bytes_.size()) return;
    if (!fetch(std::min<std::uint64_t>(limit_, (at_ + more) * 2))) {
      throw Error(ErrorKind::kRepository, "the object vanished while it was read",
                  {.object = object_, .retryable = true});
    }
  }

  const Repository& repository_;
  const std::string object_;
  const std::uint64_t limit_;
  const std::stop_token stop_;
  Bytes bytes_;
  std::size_t at_ = kContainerHeaderBytes;
  std::optional<ChunkKey> key_;
  Decompressor decompressor_;
};

// PostgreSQL offers the only good copy that may be left, and drops it when it is told that the file
// is archived. So what is there already is read to its end before it is believed.
template <class Read>
void require_readable(Read read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDamage) throw;
    throw Error(ErrorKind::kDamage, "stored already, but " + error.message(),
                {.object = error.object(),
                 .hint = "PostgreSQL still has this file. Set the damaged object aside, and the "
                         "next call stores it again."});
  }
}

[[noreturn]] void vanished(const std::string& object) {
  throw Error(ErrorKind::kRepository,
              "the store said that the object exists, then that it does not",
              {.object = object, .retryable = true});
}

// False when there is no such part.
template <class Sink>
bool read_part(const Repository& repository, const std::string& name, const std::stop_token& stop,
               Sink&& sink) {
  auto part = repository.store().get(name, stop);
  if (!part) return false;
  const ContainerHeader header = check_container(*part, name);
  require_ours(header, ContainerKind::kWalPart, repository.keys(), name);
  open_chunks(*part, header, repository.keys(), name, sink);
  return true;
}

void put_part(const Repository& repository, const std::string& object, const PackedWal& wal,
              std::uint32_t number, const std::stop_token& stop) {
  const std::vector<PackedChunk> chunks = wal.part(number);
  const std::string name = names::wal_part(object, wal.identity.content, number);
  const PutOutcome outcome = repository.store().put(
      name,
      seal_container(ContainerKind::kWalPart, repository.keys(), repository.keys().cipher, chunks),
      {.object_class = ObjectClass::kWal}, stop);
  // Its name carries the content's hash: what is there already is this content, if it is whole.
  if (outcome == PutOutcome::kExists) {
    require_readable([&] {
      if (!read_part(repository, name, stop, [](const OpenedChunk&) {})) vanished(name);
    });
  }
  fault_point("wal.part_stored");
}

// A timeline's history is small, and what is planned with it is planned before anything is thawed.
ObjectClass class_of(const std::string& object) {
  return object.ends_with("/history") ? ObjectClass::kCatalogue : ObjectClass::kWal;
}

WalPut compare_with_stored(const Repository& repository, const std::string& object,
                           const WalIdentity& ours, const std::stop_token& stop) {
  const auto there = read_wal_head(repository, object, stop);
  if (!there) vanished(object);
  const WalIdentity& theirs = there->identity;
  const bool same = theirs.content == ours.content && theirs.bytes == ours.bytes &&
                    theirs.system_identifier == ours.system_identifier &&
                    theirs.file.text == ours.file.text;
  return same ? WalPut::kSameContent : WalPut::kOtherContent;
}

// Passes content on, and hashes it as the whole file is hashed: with the zeros at its end.
class HashedSink {
 public:
  HashedSink(const WalIdentity& identity, const std::function<void(ByteView)>& sink)
      : identity_(identity), sink_(sink) {}

  void operator()(ByteView piece) {
    taken_ += piece.size();
    if (taken_ <= identity_.content_bytes) sink_(piece);
    hash_.add(piece);
  }

  bool matches() {
    static constexpr std::array<std::byte, 65536> kZeros{};
    if (taken_ != identity_.content_bytes) return false;
    for (std::uint64_t left = identity_.bytes - taken_; left > 0;) {
      const auto piece = std::min<std::uint64_t>(left, kZeros.size());
      hash_.add(ByteView(kZeros).first(piece));
      left -= piece;
    }
    return hash_.result() == identity_.content;
  }

 private:
  const WalIdentity& identity_;
  const std::function<void(ByteView)>& sink_;
  std::uint64_t taken_ = 0;
  WalContentHash hash_;
};

void read_parts(const Repository& repository, const std::string& object,
                const WalIdentity& identity, HashedSink& sink, const std::stop_token& stop) {
  const std::uint32_t parts = wal_part_count(identity.content_bytes);
  for (std::uint32_t number = 1; number <= parts; ++number) {
    const std::string name = names::wal_part(object, identity.content, number);
    if (!read_part(repository, name, stop, [&](const OpenedChunk& chunk) { sink(chunk.plain); })) {
      damaged(name, "a part of a WAL file is missing");
    }
  }
}

// The chunks of a checked container as they were compressed; `object` is used up.
std::vector<PackedChunk> unseal(Bytes& bytes, const ContainerHeader& header,
                                const RepositoryKeys& keys, const std::string& object) {
  const ChunkKey key(header.cipher, keys.data_key, header.salt);
  std::vector<PackedChunk> chunks;
  const std::size_t end = bytes.size() - kContainerTrailerBytes;
  try {
    for (std::size_t at = kContainerHeaderBytes; at < end;) {
      if (end - at < kChunkHeaderBytes) damaged(object, "a chunk does not fit");
      const std::uint32_t length =
          sealed_length(ByteView(bytes).subspan(at, kChunkHeaderBytes), end - at);
      const ChunkKey::Opened opened = key.open(MutableByteView(bytes).subspan(at, length));
      if (opened.ordinal != at) damaged(object, "a chunk is not in the place it was written to");
      chunks.push_back({.plain_length = opened.plain_length,
                        .compression = opened.compression,
                        .payload = to_bytes(opened.payload)});
      at += length;
    }
  } catch (Error& error) {
    throw error.about(object);
  }
  return chunks;
}

Bytes unpack(const PackedChunk& chunk) {
  Bytes plain(chunk.plain_length);
  Decompressor().decompress(chunk.compression, chunk.payload, plain);
  return plain;
}

// The chunks of the object under this name; nullopt when there is none.
std::optional<std::vector<PackedChunk>> take_chunks(const Repository& from, ContainerKind kind,
                                                    const std::string& object,
                                                    const std::stop_token& stop) {
  auto bytes = from.store().get(object, stop);
  if (!bytes) return std::nullopt;
  const ContainerHeader header = check_container(*bytes, object);
  require_ours(header, kind, from.keys(), object);
  return unseal(*bytes, header, from.keys(), object);
}

PutOutcome put_chunks(const Repository& to, ContainerKind kind, const std::string& object,
                      std::vector<PackedChunk> chunks, const std::stop_token& stop) {
  const Bytes sealed = seal_container(kind, to.keys(), to.keys().cipher, chunks);
  chunks = {};
  return to.store().put(object, sealed, {.object_class = class_of(object)}, stop);
}

void copy_parts(const WalCopyRoute& route, const std::string& object, const WalIdentity& identity,
                const std::stop_token& stop) {
  const std::uint32_t parts = wal_part_count(identity.content_bytes);
  for (std::uint32_t number = 1; number <= parts; ++number) {
    const std::string name = names::wal_part(object, identity.content, number);
    auto chunks = take_chunks(route.from, ContainerKind::kWalPart, name, stop);
    if (!chunks) damaged(name, "a part of a WAL file is missing");
    put_chunks(route.to, ContainerKind::kWalPart, name, std::move(*chunks), stop);
    fault_point("wal.part_stored");
  }
}

}  // namespace

void WalContentHash::add(ByteView piece) {
  while (!piece.empty()) {
    const ByteView now = piece.first(std::min(piece.size(), kWalPartBytes - in_part_));
    part_.add(now);
    in_part_ += now.size();
    piece = piece.subspan(now.size());
    if (in_part_ < kWalPartBytes) return;
    parts_.push_back(part_.result());
    part_.reset();
    in_part_ = 0;
  }
}

Checksum128 WalContentHash::result() {
  if (in_part_ > 0) parts_.push_back(part_.result());
  in_part_ = 0;
  if (parts_.empty()) return xxh3_128(ByteView{});
  if (parts_.size() == 1) return parts_.front();
  Bytes hashes;
  for (const Checksum128& part : parts_) hashes.insert(hashes.end(), part.begin(), part.end());
  return xxh3_128(hashes);
}

Checksum128 wal_content_hash(ByteView file) {
  WalContentHash hash;
  hash.add(file);
  return hash.result();
}

std::uint32_t wal_part_count(std::uint64_t content_bytes) {
  if (content_bytes <= kWalPartBytes) return 0;
  return static_cast<std::uint32_t>((content_bytes + kWalPartBytes - 1) / kWalPartBytes);
}

std::vector<PackedChunk> pack_wal_content(Compressor& compressor, ByteView content) {
  std::vector<PackedChunk> chunks;
  while (!content.empty()) {
    const ByteView piece = content.first(std::min(content.size(), kContentChunkBytes));
    chunks.push_back(pack_chunk(compressor, piece));
    content = content.subspan(piece.size());
  }
  return chunks;
}

std::vector<PackedChunk> pack_wal_index(Compressor& compressor,
                                        const std::optional<SegmentIndex>& index) {
  if (!index) return {PackedChunk{}, PackedChunk{}};
  const Bytes encoded = encode_index(*index);
  // An index that large gains nothing over reading the segment.
  if (encoded.size() > kMaxChunkPlainBytes) {
    return {pack_chunk(compressor, encode_summary(index->summary)), PackedChunk{}};
  }
  return {pack_chunk(compressor, encode_summary(index->summary)), pack_chunk(compressor, encoded)};
}

WalPut put_wal(const Repository& repository, const WalPlace& place, const PackedWal& wal,
               const std::stop_token& stop) {
  const std::string object = names::wal_object(place, wal.identity.file, wal.identity.content);
  const std::uint32_t parts = wal_part_count(wal.identity.content_bytes);
  for (std::uint32_t number = 1; number <= parts; ++number) {
    put_part(repository, object, wal, number, stop);
  }
  Compressor compressor({Compression::kZstd, 1});
  std::vector<PackedChunk> chunks{pack_chunk(compressor, encode_identity(object, wal.identity))};
  chunks.insert(chunks.end(), wal.index.begin(), wal.index.end());
  HF_INVARIANT(chunks.size() == kHeadChunks);
  chunks.insert(chunks.end(), wal.content.begin(), wal.content.end());
  const Bytes sealed =
      seal_container(ContainerKind::kWal, repository.keys(), repository.keys().cipher, chunks);
  const PutOutcome outcome =
      repository.store().put(object, sealed, {.object_class = class_of(object)}, stop);
  if (outcome == PutOutcome::kCreated) return WalPut::kCreated;
  WalPut there = WalPut::kOtherContent;
  require_readable([&] {
    there = compare_with_stored(repository, object, wal.identity, stop);
    if (there == WalPut::kOtherContent) return;
    if (!read_wal(repository, place, wal.identity.file, object, stop, [](ByteView) {})) {
      vanished(object);
    }
  });
  return there;
}

std::optional<StoredWalHead> read_wal_head(const Repository& repository, const std::string& object,
                                           std::uint64_t object_bytes,
                                           const std::stop_token& stop) {
  HeadReader reader(repository, object, object_bytes, stop);
  if (!reader.open()) return std::nullopt;
  StoredWalHead head{.identity = decode_identity(object, reader.next_chunk())};
  const Bytes summary = reader.next_chunk();
  if (!summary.empty()) head.summary = decode_summary(summary);
  return head;
}

std::optional<StoredWalHead> read_wal_head(const Repository& repository, const std::string& object,
                                           const std::stop_token& stop) {
  const auto info = repository.store().head(object, stop);
  if (!info) return std::nullopt;
  return read_wal_head(repository, object, info->size, stop);
}

std::optional<SegmentIndex> read_wal_index(const Repository& repository, const std::string& object,
                                           const std::stop_token& stop) {
  const auto info = repository.store().head(object, stop);
  const auto absent = [&] {
    return Error(ErrorKind::kNotFound, "no such WAL file in the repository", {.object = object});
  };
  if (!info) throw absent();
  HeadReader reader(repository, object, info->size, stop);
  if (!reader.open()) throw absent();
  decode_identity(object, reader.next_chunk());
  reader.next_chunk();
  const Bytes index = reader.next_chunk();
  if (index.empty()) return std::nullopt;
  return decode_index(index);
}

std::optional<WalIdentity> read_wal(const Repository& repository, const WalPlace& place,
                                    const WalFileName& file, const std::string& object,
                                    const std::stop_token& stop,
                                    const std::function<void(ByteView)>& sink) {
  auto bytes = repository.store().get(object, stop);
  if (!bytes) return std::nullopt;
  const ContainerHeader header = check_container(*bytes, object);
  require_ours(header, ContainerKind::kWal, repository.keys(), object);
  WalIdentity identity;
  std::optional<HashedSink> content;
  std::size_t number = 0;
  open_chunks(*bytes, header, repository.keys(), object, [&](const OpenedChunk& chunk) {
    if (number == kIdentityChunk) {
      identity = decode_identity(object, chunk.plain);
      if (identity.file != file || identity.system_identifier != place.history.system_identifier) {
        damaged(object, "it holds another file than its name says");
      }
      content.emplace(identity, sink);
    } else if (number >= kHeadChunks) {
      (*content)(chunk.plain);
    }
    ++number;
    check_cancelled(stop);
  });
  if (number < kHeadChunks) damaged(object, "its head is not complete");
  *bytes = {};
  if (wal_part_count(identity.content_bytes) > 0) {
    read_parts(repository, object, identity, *content, stop);
  }
  if (!content->matches()) damaged(object, "its content does not match its hash");
  return identity;
}

WalCopy copy_wal(const WalCopyRoute& route, const std::string& object,
                 const std::stop_token& stop) {
  auto chunks = take_chunks(route.from, ContainerKind::kWal, object, stop);
  if (!chunks) return WalCopy::kGone;
  if (chunks->size() < kHeadChunks) damaged(object, "its head is not complete");
  const WalIdentity identity = decode_identity(object, unpack(chunks->front()));
  copy_parts(route, object, identity, stop);
  if (put_chunks(route.to, ContainerKind::kWal, object, std::move(*chunks), stop) ==
      PutOutcome::kCreated) {
    return WalCopy::kCopied;
  }
  return compare_with_stored(route.to, object, identity, stop) == WalPut::kSameContent
             ? WalCopy::kThereAlready
             : WalCopy::kOtherContent;
}

}  // namespace holdfast
