#include "postgres/control_file.h"

#include <array>
#include <chrono>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>

#include "core/error.h"
#include "postgres/crc32c.h"
#include "system/files.h"

namespace holdfast {
namespace {

// Where the fields lie (x86-64 and arm64 alike). Everything before the CRC is common to 13 to 18;
// 18 put one more flag in front of the CRC.
struct Layout {
  std::uint32_t control_version;
  std::size_t crc_at;
};
constexpr std::array kLayouts{Layout{1300, 288}, Layout{1700, 288}, Layout{1800, 292}};

constexpr std::size_t kSystemIdentifierAt = 0;
constexpr std::size_t kControlVersionAt = 8;
constexpr std::size_t kCatalogVersionAt = 12;
constexpr std::size_t kStateAt = 16;
constexpr std::size_t kCheckpointAt = 32;
constexpr std::size_t kRedoAt = 40;
constexpr std::size_t kTimelineAt = 48;
constexpr std::size_t kNextXidAt = 64;
constexpr std::size_t kMinimumRecoveryPointAt = 136;
constexpr std::size_t kMinimumRecoveryTimelineAt = 144;
constexpr std::size_t kWalLevelAt = 172;
constexpr std::size_t kBlockSizeAt = 216;
constexpr std::size_t kSegmentBlocksAt = 220;
constexpr std::size_t kWalBlockSizeAt = 224;
constexpr std::size_t kWalSegmentSizeAt = 228;
constexpr std::size_t kChecksumVersionAt = 252;

constexpr std::string_view kPathInCluster = "global/pg_control";
constexpr std::chrono::milliseconds kBetweenReads{10};
constexpr int kReadsMax = 300;     // about 3 s
constexpr int kSameReadsMax = 30;  // what is wrong and does not change is not a write in progress

const Layout& layout_of(std::uint32_t control_version) {
  for (const Layout& layout : kLayouts) {
    if (layout.control_version == control_version) return layout;
  }
  throw Error(
      ErrorKind::kRefused,
      fmt::format("control file has layout version {}, which is not known", control_version),
      {.object = std::string(kPathInCluster),
       .hint = "Holdfast works with PostgreSQL 13 to 18. If this is one of them, the file is "
               "damaged or was written on a machine of another byte order."});
}

Error damaged(std::string message) {
  return Error(ErrorKind::kDamage, std::move(message),
               {.object = std::string(kPathInCluster),
                .hint = "Compare with what pg_controldata says of the data directory."});
}

void check_plausible(const ControlFile& file, std::uint32_t state) {
  if (state > static_cast<std::uint32_t>(ClusterState::kInProduction)) {
    throw damaged(fmt::format("control file has the unknown cluster state {}", state));
  }
  if (!is_valid(file.wal_segment_size)) {
    throw damaged(fmt::format("control file has the impossible WAL segment size {}",
                              file.wal_segment_size.bytes));
  }
}

}  // namespace

ControlFile parse_control_file(ByteView content) {
  constexpr std::size_t kBytesNeeded = 296;
  if (content.size() < kBytesNeeded) {
    throw damaged(fmt::format("control file is only {} bytes long", content.size()));
  }
  const auto u32 = [&](std::size_t at) { return load_le<std::uint32_t>(content.data() + at); };
  const auto u64 = [&](std::size_t at) { return load_le<std::uint64_t>(content.data() + at); };

  const Layout& layout = layout_of(u32(kControlVersionAt));
  if (crc32c(content.first(layout.crc_at)) != u32(layout.crc_at)) {
    throw damaged("control file does not match its checksum");
  }
  const ControlFile file{
      .system_identifier = u64(kSystemIdentifierAt),
      .control_version = u32(kControlVersionAt),
      .catalog_version = u32(kCatalogVersionAt),
      .state = static_cast<ClusterState>(u32(kStateAt)),
      .checkpoint = {u64(kCheckpointAt)},
      .checkpoint_redo = {u64(kRedoAt)},
      .checkpoint_timeline = {u32(kTimelineAt)},
      .checkpoint_next_xid = u64(kNextXidAt),
      .minimum_recovery_point = {u64(kMinimumRecoveryPointAt)},
      .minimum_recovery_timeline = {u32(kMinimumRecoveryTimelineAt)},
      .block_size = u32(kBlockSizeAt),
      .relation_segment_blocks = u32(kSegmentBlocksAt),
      .wal_block_size = u32(kWalBlockSizeAt),
      .wal_segment_size = {u32(kWalSegmentSizeAt)},
      .data_checksum_version = u32(kChecksumVersionAt),
      .wal_level = static_cast<int>(u32(kWalLevelAt)),
  };
  check_plausible(file, u32(kStateAt));
  return file;
}

namespace {

Bytes read_once(const std::filesystem::path& path) {
  const FileDescriptor fd = open_or_throw(path, O_RDONLY | O_CLOEXEC);
  Bytes content(kControlFileBytes);
  content.resize(read_at(fd.get(), 0, content, path.string()));
  return content;
}

}  // namespace

ControlFileImage read_control_file(const std::filesystem::path& data_directory) {
  const std::filesystem::path path = data_directory / kPathInCluster;
  Bytes previous = read_once(path);
  int same_reads = 0;
  for (int reads = 1;; ++reads) {
    Bytes content = read_once(path);
    same_reads = content == previous ? same_reads + 1 : 0;
    try {
      ControlFile parsed = parse_control_file(content);
      if (same_reads > 0) return {parsed, std::move(content)};
      if (reads >= kReadsMax) throw damaged("control file changes at every read");
    } catch (const Error&) {
      // A read beside a write may be torn. What stays wrong is damage.
      if (reads >= kReadsMax || same_reads >= kSameReadsMax) throw;
    }
    previous = std::move(content);
    std::this_thread::sleep_for(kBetweenReads);
  }
}

}  // namespace holdfast
