#include "backup/file_pipeline.h"

#include <charconv>

#include <sys/syscall.h>
#include <unistd.h>

#include "core/cancellation.h"

namespace holdfast {
namespace {

constexpr std::size_t kQueuedWork = 64;
// Entries that wait for an earlier one. A 1 GiB file is 16 slices of work, so this is never what
// holds the workers up.
constexpr std::size_t kWindow = 4096;
constexpr std::size_t kSmallFilesInChunk = 512;

// The oid in pg_tblspc/<oid>/...
std::optional<std::uint32_t> tablespace_of(std::string_view path) {
  static constexpr std::string_view kFolder = "pg_tblspc/";
  std::uint32_t oid = 0;
  if (!path.starts_with(kFolder)) return std::nullopt;
  path.remove_prefix(kFolder.size());
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), oid);
  return error == std::errc{} ? std::optional(oid) : std::nullopt;
}

// Below the server's own reads and writes; where the scheduler knows no priorities, nothing
// happens.
void lower_io_priority() {
  constexpr int kThisThread = 1;                  // IOPRIO_WHO_PROCESS
  constexpr int kBestEffortLowest = 2 << 13 | 7;  // IOPRIO_CLASS_BE, lowest level
  ::syscall(SYS_ioprio_set, kThisThread, 0, kBestEffortLowest);
}

}  // namespace

FilePipeline::FilePipeline(const SealContext& context, std::size_t workers, SectionWriter& section,
                           const std::stop_token& stop)
    : context_(context),
      section_(section),
      on_stop_(stop, [this] { abandon_.request_stop(); }),
      queue_(kQueuedWork) {
  for (std::size_t i = 0; i < workers; ++i) {
    workers_.emplace_back([this] { work(); });
  }
}

FilePipeline::~FilePipeline() {
  abandon_.request_stop();
  queue_.close();
}

void FilePipeline::work() {
  lower_io_priority();
  try {
    FileSealer sealer(context_);
    while (auto work = queue_.pop(abandon_.get_token())) {
      if (const auto* slice = std::get_if<Slice>(&*work)) {
        sealer.seal_slice(*slice->job, slice->index, abandon_.get_token());
      } else {
        sealer.seal_small_files(std::get<SmallFiles>(*work), abandon_.get_token());
      }
      {
        const std::lock_guard lock(mutex_);
      }
      progressed_.notify_all();
    }
  } catch (...) {
    fail(std::current_exception());
  }
}

void FilePipeline::add_without_content(FileEntry entry) {
  auto job = std::make_shared<FileJob>();
  job->entry = std::move(entry);
  window_.push_back(std::move(job));
  drain(kWindow);
}

void FilePipeline::add_file(FileEntry entry, std::optional<FileEntry> parent) {
  if (entry.size == 0) {
    add_without_content(std::move(entry));
    return;
  }
  auto job = std::make_shared<FileJob>();
  job->entry = std::move(entry);
  job->parent = std::move(parent);
  const std::uint64_t size = job->entry.size;
  const std::size_t slices = slice_count(job->entry);
  job->entry.map_pages.resize(slices);
  window_.push_back(job);
  if (size <= kSmallFileBytes) {
    if (small_bytes_ + size > kSmallFileBytes || small_files_.size() == kSmallFilesInChunk) {
      submit_small_files();
    }
    job->open_slices = 1;
    small_bytes_ += size;
    small_files_.push_back(std::move(job));
  } else {
    job->open_slices = slices;
    for (std::size_t i = 0; i < slices; ++i) {
      submit(Slice{job, i});
    }
  }
  drain(kWindow);
}

void FilePipeline::submit_small_files() {
  if (small_files_.empty()) return;
  submit(std::exchange(small_files_, {}));
  small_bytes_ = 0;
}

void FilePipeline::submit(Work work) {
  throw_if_failed();
  try {
    queue_.push(std::move(work), abandon_.get_token());
  } catch (const Error&) {
    throw_if_failed();  // the failure that stopped the queue says more
    throw;
  }
}

// Writes complete entries from the front; waits while more than `keep_at_most` are in the window.
void FilePipeline::drain(std::size_t keep_at_most) {
  for (;;) {
    while (!window_.empty() && window_.front()->open_slices == 0) write_front();
    if (window_.size() <= keep_at_most) return;
    // What the front waits for may not even be on its way.
    if (!small_files_.empty() && small_files_.front() == window_.front()) submit_small_files();
    std::unique_lock lock(mutex_);
    progressed_.wait(lock, abandon_.get_token(),
                     [&] { return failure_ != nullptr || window_.front()->open_slices == 0; });
    lock.unlock();
    throw_if_failed();
  }
}

void FilePipeline::write_front() {
  FileJob& job = *window_.front();
  if (!job.vanished) {
    if (job.entry.map) job.entry.map_pages.clear();
    section_.add(job.entry);
    if (job.entry.type == FileType::kRegular) ++counts_.files;
    counts_.bytes += job.entry.size;
    counts_.content_bytes += job.content_bytes;
    if (const auto oid = tablespace_of(job.entry.path)) {
      counts_.tablespace_content[*oid] += job.content_bytes;
    }
  }
  window_.pop_front();
}

void FilePipeline::finish() {
  submit_small_files();
  drain(0);
  queue_.close();
  throw_if_failed();
}

void FilePipeline::fail(std::exception_ptr failure) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
  }
  abandon_.request_stop();
  progressed_.notify_all();
}

void FilePipeline::throw_if_failed() {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
  }
  check_cancelled(abandon_.get_token());
}

}  // namespace holdfast
