#include "app/prefetched_wal.h"

#include <thread>

#include "app/archive_helper.h"
#include "core/log.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kCatchingUp{30};
// Longer than a fetch takes; one that takes longer is not waited for.
constexpr std::chrono::seconds kHelperPatience{3};
constexpr std::chrono::milliseconds kHelperPoll{2};

// Runs `call`; what it throws is only worth a line for who looks closely.
template <class Call>
void quietly(Call call) noexcept {
  try {
    call();
  } catch (const std::exception& error) {
    try {
      log_info(std::string("no prefetched WAL: ") + error.what());
    } catch (...) {
      return;
    }
  } catch (...) {
    return;
  }
}

// Whether the helper was fetching the file and has ended that.
bool wait_for_helper(const GetSpool& spool, const WalFileName& file, const std::stop_token& stop) {
  const auto until = std::chrono::steady_clock::now() + kHelperPatience;
  bool waited = false;
  while (spool.is_being_fetched(file.text)) {
    if (stop.stop_requested() || std::chrono::steady_clock::now() > until) return false;
    waited = true;
    std::this_thread::sleep_for(kHelperPoll);
  }
  return waited || spool.has(file.text);
}

}  // namespace

PrefetchedWal::PrefetchedWal(const Config& config, PrefetchedFor what) noexcept
    : config_(config), what_(std::move(what)) {
  if (config.wal.prefetch_bytes == 0) return;
  quietly([&] {
    prepare_state_directory(config_);
    spool_.emplace(config_.state_directory,
                   get_binding(config_, what_.data_directory, what_.history));
  });
}

std::optional<ArchiveGetAnswer::Source> PrefetchedWal::take(const WalFileName& file,
                                                            const fs::path& destination,
                                                            const std::stop_token& stop) noexcept {
  std::optional<ArchiveGetAnswer::Source> source;
  if (spool_ && file.kind == WalFileKind::kSegment) {
    GetSpool& spool = *spool_;
    quietly([&] { source = try_take(spool, file, destination, stop); });
  }
  return source;
}

std::optional<ArchiveGetAnswer::Source> PrefetchedWal::try_take(GetSpool& spool,
                                                                const WalFileName& file,
                                                                const fs::path& destination,
                                                                const std::stop_token& stop) {
  using Source = ArchiveGetAnswer::Source;
  const bool there = spool.has(file.text);
  // Noted first: while it is taken, the helper must not think that it is still to be fetched.
  if (there || !what_.is_standby) {
    spool.make_folder();
    spool.note_request(file);
  }
  if (there && spool.take(file, destination)) return Source::kPrefetched;
  if (!what_.is_standby) start_helper();
  if (wait_for_helper(spool, file, stop) && spool.take(file, destination)) {
    spool.note_request(file);
    return Source::kAwaited;
  }
  return std::nullopt;
}

void PrefetchedWal::fetched_directly(const WalFileName& file) noexcept {
  if (!spool_ || !what_.is_standby || file.kind != WalFileKind::kSegment) return;
  GetSpool& spool = *spool_;
  quietly([&] {
    const auto before = spool.last_request();
    spool.make_folder();
    spool.note_request(file);
    if (before && std::chrono::system_clock::now() - before->at < kCatchingUp) start_helper();
  });
}

void PrefetchedWal::start_helper() const {
  start_archive_helper(config_, {.direction = ArchiveDirection::kGet,
                                 .data_directory = what_.data_directory,
                                 .history = what_.history});
}

}  // namespace holdfast
