#include "app/archive_helper.h"

#include <algorithm>

#include <sys/file.h>
#include <sys/stat.h>

#include "app/archive.h"
#include "app/config_files.h"
#include "app/open.h"
#include "postgres/control_file.h"
#include "system/process.h"
#include "wal/get_helper.h"
#include "wal/push_helper.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCommand = "archive-helper";

std::string_view word_of(ArchiveDirection direction) {
  return direction == ArchiveDirection::kPush ? "push" : "get";
}

fs::path lock_of(const Config& config, ArchiveDirection direction) {
  return direction == ArchiveDirection::kPush ? push_helper_lock(config.state_directory)
                                              : get_helper_lock(config.state_directory);
}

void require_handed_over_lock(const fs::path& path) {
  struct stat handed{};
  struct stat lock{};
  const bool ours = ::fstat(kKeptDescriptor, &handed) == 0 && ::stat(path.c_str(), &lock) == 0 &&
                    handed.st_ino == lock.st_ino && handed.st_dev == lock.st_dev &&
                    ::flock(kKeptDescriptor, LOCK_EX | LOCK_NB) == 0;
  if (ours) return;
  throw Error(ErrorKind::kUsage, "only archive-push and archive-get start this command",
              {.object = std::string(kCommand)});
}

// Whether the configuration and the data directory are as they were.
class Surroundings {
 public:
  Surroundings(const Config& config, fs::path data_directory)
      : config_(config.file), data_directory_(std::move(data_directory)), before_(look()) {}
  bool unchanged() const {
    std::error_code ignored;
    return before_ && before_ == look() &&
           fs::exists(data_directory_ / "global" / "pg_control", ignored);
  }

 private:
  // The content counts: a file that was written anew with the same is the same.
  std::optional<std::string> look() const {
    try {
      return read_file(config_, kConfigBytesMax);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  const fs::path config_;
  const fs::path data_directory_;
  const std::optional<std::string> before_;
};

// So many at once that the budget holds, even when nothing compresses: of each file `copies` of a
// part are in memory.
std::size_t jobs_within(const Config& config, std::uint64_t part_bytes, std::uint64_t copies) {
  constexpr std::uint64_t kBaseBytes = std::uint64_t{48} << 20U;
  const std::uint64_t budget = config.memory_bytes - std::min(config.memory_bytes, kBaseBytes);
  const std::uint64_t fitting = budget / (part_bytes * copies);
  return std::clamp<std::size_t>(fitting, 1, std::max(config.wal.jobs, 1U));
}

void run_push(const Config& config, const ArchiveHelperRequest& request, HelperLife::Options life,
              const std::stop_token& stop) {
  const auto archive = wal_archive(config, config.wal.timeout);
  const WalSegmentSize segment = read_control_file(request.data_directory).parsed.wal_segment_size;
  const std::uint64_t part = std::min<std::uint64_t>(segment.bytes, kWalPartBytes);
  const std::uint64_t copies = archive->size() > 1 ? 6 : 4;
  run_push_helper(*archive,
                  {.push = push_options(config, request.data_directory),
                   .jobs = jobs_within(config, part, copies),
                   .life = std::move(life)},
                  stop);
}

void run_get(const Config& config, const ArchiveHelperRequest& request, HelperLife::Options life,
             const std::stop_token& stop) {
  const auto archive = wal_archive(config, config.wal.timeout);
  GetHelperOptions options{.binding = get_binding(config, request.data_directory, request.history),
                           .state_directory = config.state_directory,
                           .history = parse_history_name(request.history),
                           .bytes_max = config.wal.prefetch_bytes,
                           .jobs = jobs_within(config, kWalPartBytes, 1),
                           .life = std::move(life)};
  run_get_helper(*archive, options, stop);
}

}  // namespace

void start_archive_helper(const Config& config, const ArchiveHelperRequest& request) {
  const fs::path path = lock_of(config, request.direction);
  make_folders(path.parent_path(), 0700);
  const auto lock = FileLock::try_acquire(path);
  if (!lock) return;  // it runs
  std::vector<std::string> words{"--config", config.file.string(), std::string(kCommand),
                                 std::string(word_of(request.direction)),
                                 request.data_directory.string()};
  if (!request.history.empty()) words.insert(words.end(), {"--history", request.history});
  for (const RepositoryConfig& repository : config.repositories) {
    if (!repository.as_of) continue;
    words.insert(words.end(),
                 {"--repo", repository.name, "--as-of", to_rfc3339(*repository.as_of)});
  }
  start_detached(
      {.arguments = std::move(words),
       .log = path.parent_path() / fmt::format("{}-helper.log", word_of(request.direction)),
       .keep = &lock->descriptor()});
}

void run_archive_helper(const Config& config, const ArchiveHelperRequest& request,
                        const std::stop_token& stop) {
  require_handed_over_lock(lock_of(config, request.direction));
  const Surroundings surroundings(config, request.data_directory);
  HelperLife::Options life{.wanted = [&] { return surroundings.unchanged(); }};
  if (request.direction == ArchiveDirection::kPush) {
    run_push(config, request, std::move(life), stop);
  } else {
    run_get(config, request, std::move(life), stop);
  }
}

GetBinding get_binding(const Config& config, const fs::path& data_directory,
                       const std::string& history) {
  GetBinding binding{.cluster = config.cluster, .data_directory = data_directory};
  for (const RepositoryConfig& repository : config.repositories) {
    if (!holds_wal(config, repository)) continue;
    binding.repositories.push_back(
        repository.name + " " + repository.url +
        (repository.as_of ? " as of " + to_rfc3339(*repository.as_of) : ""));
  }
  if (!history.empty()) {
    binding.line = "history " + history;
  } else if (const auto bound = read_history_binding(data_directory)) {
    binding.line = fmt::format("data directory {} {}", bound->cluster, to_string(bound->history));
  } else {
    binding.line =
        fmt::format("system {}", read_control_file(data_directory).parsed.system_identifier);
  }
  return binding;
}

}  // namespace holdfast
