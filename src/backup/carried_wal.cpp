#include "backup/carried_wal.h"

#include <algorithm>
#include <cerrno>

#include <sys/mman.h>

#include "core/error.h"
#include "postgres/wal_segment.h"
#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxHistoryFileBytes = std::size_t{1} << 20U;

[[noreturn]] void unusable(const std::filesystem::path& path, std::string_view why) {
  throw Error(
      ErrorKind::kPostgres, fmt::format("the WAL that the backup needs is not usable: {}", why),
      {.object = path.string(),
       .hint = "Raise max_slot_wal_keep_size (or set it to -1) so that the server keeps the "
               "WAL written during a backup, then take the backup again."});
}

// A segment, mapped: it may be 1 GiB large and is read once, page by page.
class MappedFile {
 public:
  MappedFile(const FileDescriptor& fd, std::size_t size, const std::string& path) : size_(size) {
    at_ = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
    if (at_ == MAP_FAILED) throw_errno(errno, "map", path);
  }
  ~MappedFile() { ::munmap(at_, size_); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ByteView view() const { return {static_cast<const std::byte*>(at_), size_}; }

 private:
  void* at_ = nullptr;
  std::size_t size_;
};

// Reads a file, and zeros behind its first `valid` bytes.
class CutFile final : public SourceFile {
 public:
  CutFile(FileDescriptor fd, std::string path, std::uint64_t valid)
      : fd_(std::move(fd)), path_(std::move(path)), valid_(valid) {}

  std::size_t read_at(std::uint64_t offset, MutableByteView out) override {
    if (offset >= valid_) {
      std::ranges::fill(out, std::byte{0});
      return out.size();
    }
    const std::size_t wanted = std::min<std::uint64_t>(out.size(), valid_ - offset);
    const std::size_t got = holdfast::read_at(fd_.get(), offset, out.first(wanted), path_);
    if (got < wanted) unusable(path_, "it became shorter while it was read");
    std::ranges::fill(out.subspan(got), std::byte{0});
    return out.size();
  }

 private:
  FileDescriptor fd_;
  std::string path_;
  std::uint64_t valid_;
};

}  // namespace

CarriedWal::CarriedWal(const CarriedWalOptions& options) : options_(options) {
  const WalSegmentSize size = options.segment_size;
  for (const auto& [segment, valid_bytes] :
       carried_segments(options.timeline, options.start, options.stop, size)) {
    const std::string name = to_string(segment, size);
    const std::filesystem::path path = options.wal_directory / name;
    const auto fd = open_to_read(path);
    if (!fd) unusable(path, "the server has removed it");
    if (std::filesystem::file_size(path) != size.bytes) unusable(path, "it has the wrong size");
    const Lsn end{start_of(segment, size).value + valid_bytes};
    const MappedFile mapped(*fd, size.bytes, path.string());
    if (const auto wrong =
            check_wal_pages(mapped.view(), segment, size, options.system_identifier, end)) {
      unusable(path, *wrong);
    }
    files_.push_back({"pg_wal/" + name, size.bytes});
    valid_bytes_["pg_wal/" + name] = valid_bytes;
  }
  if (options.timeline.value > 1) {
    const std::string name = fmt::format("{:08X}.history", options.timeline.value);
    const auto content = read_file(options.wal_directory / name, kMaxHistoryFileBytes);
    if (!content) unusable(options.wal_directory / name, "the timeline's history is missing");
    files_.push_back({"pg_wal/" + name, content->size()});
    valid_bytes_["pg_wal/" + name] = content->size();
  }
  std::ranges::sort(files_, path_before, &File::path);
}

std::unique_ptr<SourceFile> CarriedWal::open(const std::string& path) {
  const std::filesystem::path file =
      options_.wal_directory / std::filesystem::path(path).filename();
  auto fd = open_to_read(file);
  if (!fd) unusable(file, "the server has removed it");
  return std::make_unique<CutFile>(std::move(*fd), file.string(), valid_bytes_.at(path));
}

}  // namespace holdfast
