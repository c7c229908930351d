#include "app/last_wal.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "app/archive.h"
#include "core/counted.h"
#include "core/error.h"
#include "core/wal_position.h"
#include "postgres/control_file.h"
#include "system/files.h"
#include "wal/ready_list.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// The one behind all that the archiver was told of; none where there is no such file.
std::optional<SegmentName> last_segment(const fs::path& data_directory,
                                        const ControlFile& control) {
  const WalSegmentSize size = control.wal_segment_size;
  SegmentName last = segment_of(control.checkpoint_timeline, control.checkpoint, size);
  for (const auto& entry : fs::directory_iterator(data_directory / "pg_wal/archive_status")) {
    const auto known = parse_segment_name(entry.path().stem().string(), size);
    if (known && known->timeline == last.timeline && known->number >= last.number) {
      last.number = known->number + 1;
    }
  }
  if (!fs::exists(data_directory / "pg_wal" / to_string(last, size))) return std::nullopt;
  return last;
}

void push_partial(Archive& archive, const Config& config, const fs::path& data_directory,
                  const std::string& segment, const std::stop_token& stop) {
  const fs::path whole = data_directory / "pg_wal" / segment;
  const fs::path partial = data_directory / "pg_wal" / (segment + ".partial");
  const bool was_there = fs::exists(partial);
  if (!was_there && ::link(whole.c_str(), partial.c_str()) != 0) {
    throw_errno(errno, "link to", whole.native());
  }
  Pusher(archive, push_options(config, data_directory)).push(partial, [] {}, stop);
  if (!was_there) fs::remove(partial);
}

}  // namespace

std::string archive_last_wal(const Config& config, const fs::path& data_directory,
                             const std::stop_token& stop) {
  const auto archive = wal_archive(config, config.wal.timeout);
  const ControlFile control = read_control_file(data_directory).parsed;
  const auto waiting = files_waiting(data_directory, std::numeric_limits<std::size_t>::max());
  for (const std::string& file : waiting) {
    Pusher(*archive, push_options(config, data_directory))
        .push(data_directory / "pg_wal" / file, [] {}, stop);
  }
  const auto last = last_segment(data_directory, control);
  std::string archived = counted(waiting.size(), "file") + " of WAL archived";
  if (!last) return archived;
  const std::string name = to_string(*last, control.wal_segment_size);
  push_partial(*archive, config, data_directory, name, stop);
  return fmt::format("{}, and {}.partial", archived, name);
}

}  // namespace holdfast
