#include "wal/local_wal.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>

#include "core/error.h"
#include "postgres/timeline_history.h"
#include "postgres/wal_segment.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kMaxSmallFileBytes = std::uint64_t{16} << 20U;  // of a history or a label

[[noreturn]] void refuse(std::string message, const std::filesystem::path& path) {
  throw Error(ErrorKind::kRefused, std::move(message),
              {.object = path.string(),
               .hint = "It does not belong to the cluster of this configuration; nothing was "
                       "archived. Check archive_command and --config."});
}

WalFileName name_of(const std::filesystem::path& path) {
  const auto name = parse_wal_file_name(path.filename().string());
  if (name) return *name;
  throw Error(ErrorKind::kUsage, "this is not the name of a WAL file", {.object = path.string()});
}

// Position behind the last byte that is not zero.
std::uint64_t length_without_zeros(ByteView bytes) {
  constexpr std::size_t kBlock = 8192;
  std::size_t end = bytes.size();
  while (end > 0) {
    const std::size_t block = std::min(kBlock, end);
    if (!is_zero(bytes.subspan(end - block, block))) break;
    end -= block;
  }
  while (end > 0 && bytes[end - 1] == std::byte{0}) --end;
  return end;
}

FileDescriptor open_wal(const std::filesystem::path& path) {
  auto fd = open_to_read(path);
  if (fd) return std::move(*fd);
  throw Error(ErrorKind::kUsage, "there is no such file", {.object = path.string()});
}

bool is_segment_sized(WalFileKind kind) {
  return kind == WalFileKind::kSegment || kind == WalFileKind::kPartial;
}

}  // namespace

LocalWal::LocalWal(const std::filesystem::path& path, const WalCluster& cluster)
    : path_(path), fd_(open_wal(path)) {
  identity_.file = name_of(path);
  identity_.system_identifier = cluster.system_identifier;
  identity_.segment_size = cluster.segment_size;
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) throw_errno(errno, "examine", path.string());
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorKind::kUsage, "this is not a file", {.object = path.string()});
  }
  identity_.bytes = static_cast<std::uint64_t>(info.st_size);
  const bool segment = is_segment_sized(identity_.file.kind);
  if (!segment && identity_.bytes > kMaxSmallFileBytes) {
    throw Error(ErrorKind::kDamage, "the file is far too large", {.object = path.string()});
  }
  if (segment && identity_.bytes != cluster.segment_size.bytes) {
    throw Error(ErrorKind::kDamage,
                fmt::format("it has {} bytes, a WAL segment of this cluster has {}",
                            identity_.bytes, cluster.segment_size.bytes),
                {.object = path.string(),
                 .hint = "Nothing was archived: the file is cut off, or of another cluster."});
  }
  hash_and_measure();
  if (identity_.file.kind == WalFileKind::kSegment) check_segment();
  if (identity_.file.kind == WalFileKind::kTimelineHistory) check_timeline_history();
}

ByteView LocalWal::read_part(std::uint32_t number) {
  const std::uint64_t offset = std::uint64_t{number - 1} * kWalPartBytes;
  const auto bytes = std::min<std::uint64_t>(kWalPartBytes, identity_.bytes - offset);
  if (buffer_.size() == 0) {
    buffer_ = Buffer(std::min<std::uint64_t>(identity_.bytes, kWalPartBytes));
  }
  const MutableByteView out = buffer_.span().first(bytes);
  if (in_buffer_ == number) return out;
  in_buffer_ = 0;
  read_exactly(offset, out);
  if (xxh3_128(out) != parts_.at(number - 1)) {
    throw Error(ErrorKind::kHost, "the file changed while it was archived",
                {.object = path_.string(), .retryable = true});
  }
  in_buffer_ = number;
  return out;
}

void LocalWal::hash_and_measure() {
  // Small enough to stay in the processor's cache: most calls only hash (wal/push.h).
  constexpr std::size_t kPieceBytes = std::size_t{256} << 10U;
  Buffer buffer(std::min<std::uint64_t>(identity_.bytes, kPieceBytes));
  WalContentHash hash;
  for (std::uint64_t at = 0; at < identity_.bytes; at += buffer.size()) {
    const MutableByteView piece =
        buffer.span().first(std::min<std::uint64_t>(identity_.bytes - at, buffer.size()));
    read_exactly(at, piece);
    hash.add(piece);
    if (const std::uint64_t used = length_without_zeros(piece); used > 0) {
      identity_.content_bytes = at + used;
    }
  }
  identity_.content = hash.result();
  parts_ = hash.parts();
}

void LocalWal::read_exactly(std::uint64_t offset, MutableByteView out) const {
  if (read_at(fd_.get(), offset, out, path_.string()) == out.size()) return;
  throw Error(ErrorKind::kHost, "the file became shorter while it was read",
              {.object = path_.string(), .retryable = true});
}

void LocalWal::check_segment() const {
  Bytes page(std::min<std::uint64_t>(kWalPageBytes, identity_.bytes));
  read_at(fd_.get(), 0, page, path_.string());
  const auto header = parse_wal_segment_header(page);
  const auto name = parse_segment_name(identity_.file.text, identity_.segment_size);
  if (!header || !name) {
    throw Error(ErrorKind::kDamage, "this is no WAL segment of this cluster's segment size",
                {.object = path_.string(), .hint = "Nothing was archived."});
  }
  if (header->system_identifier != identity_.system_identifier) {
    refuse(fmt::format("a WAL segment of another cluster: its system identifier is {}, this "
                       "cluster's is {}",
                       header->system_identifier, identity_.system_identifier),
           path_);
  }
  const Lsn start = start_of(*name, identity_.segment_size);
  if (header->address != start || header->segment_size != identity_.segment_size) {
    refuse(fmt::format("the segment's header is that of {} in segments of {} bytes, not of {}",
                       to_string(header->address), header->segment_size.bytes, to_string(start)),
           path_);
  }
  if (header->timeline > name->timeline) {
    refuse(fmt::format("its pages are of timeline {}, newer than its name says",
                       header->timeline.value),
           path_);
  }
}

// What is stored is never replaced, and every recovery reads it.
void LocalWal::check_timeline_history() const {
  Bytes text(identity_.bytes);
  read_exactly(0, text);
  try {
    parse_timeline_history(identity_.file.timeline, as_text(text), path_.string());
  } catch (const Error& error) {
    throw Error(error.kind(), error.message(),
                {.object = error.object(),
                 .hint = "Nothing was archived. Bring the file back from another server of this "
                         "cluster, or from a copy of pg_wal."});
  }
}

std::vector<PackedChunk> LocalWal::pack_part(std::uint32_t number) {
  ByteView part = read_part(number);
  const std::uint64_t offset = std::uint64_t{number - 1} * kWalPartBytes;
  const std::uint64_t content =
      std::min<std::uint64_t>(identity_.content_bytes, offset + part.size());
  part = part.first(content - std::min(content, offset));
  return pack_wal_content(*compressor_, part);
}

std::optional<SegmentIndex> LocalWal::index() {
  const auto name = parse_segment_name(identity_.file.text, identity_.segment_size);
  if (identity_.file.kind != WalFileKind::kSegment || !name) return std::nullopt;
  // Pages never lie in two parts.
  const auto page = [this](std::uint64_t offset) {
    const auto number = static_cast<std::uint32_t>(offset / kWalPartBytes) + 1;
    return read_part(number).subspan(offset % kWalPartBytes).first(kWalPageBytes);
  };
  return index_segment({.bytes = identity_.bytes, .page = page}, *name, identity_.segment_size);
}

PackedWal LocalWal::pack(const CompressionChoice& compression) {
  compressor_ = std::make_unique<Compressor>(compression);
  PackedWal packed{.identity = identity_};
  packed.index = pack_wal_index(*compressor_, index());
  if (wal_part_count(identity_.content_bytes) > 0) {
    packed.part = [this](std::uint32_t number) { return pack_part(number); };
  } else if (identity_.content_bytes > 0) {
    packed.content = pack_part(1);
  }
  return packed;
}

}  // namespace holdfast
