#pragma once
// Reads and seals files on several threads while their entries reach the manifest in path order.
//
// The caller adds folders and files in path order; workers take slices of files; a window of
// entries waits until everything before it is complete. Queue and window are bounded, so memory
// does not grow with the number of files. Errors: the first failure of a worker is thrown by the
// next add() or by finish(). Threads: add_* and finish() from one thread.

#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <variant>
#include <vector>

#include "backup/file_sealer.h"
#include "core/bounded_queue.h"
#include "repository/manifest.h"

namespace holdfast {

class FilePipeline {
 public:
  FilePipeline(const SealContext& context, std::size_t workers, SectionWriter& section,
               const std::stop_token& stop);
  ~FilePipeline();

  // A folder, a symbolic link or an empty file: nothing to read.
  void add_without_content(FileEntry entry);
  // `parent`: the same file in the backup that this one builds on.
  void add_file(FileEntry entry, std::optional<FileEntry> parent = {});
  // Waits for everything that was added.
  void finish();

  struct Counts {
    std::uint64_t files = 0, bytes = 0;
    std::uint64_t content_bytes = 0;                            // without chunks of zeros
    std::map<std::uint32_t, std::uint64_t> tablespace_content;  // part of it, by oid
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Slice {
    std::shared_ptr<FileJob> job;
    std::size_t index;
  };
  using SmallFiles = std::vector<std::shared_ptr<FileJob>>;
  using Work = std::variant<Slice, SmallFiles>;

  void work();
  void submit_small_files();
  void submit(Work work);
  void drain(std::size_t keep_at_most);
  void write_front();
  void fail(std::exception_ptr failure);
  void throw_if_failed();

  const SealContext context_;
  SectionWriter& section_;
  std::stop_source abandon_;
  std::stop_callback<std::function<void()>> on_stop_;
  BoundedQueue<Work> queue_;
  std::deque<std::shared_ptr<FileJob>> window_;  // in path order; the caller's thread only
  SmallFiles small_files_;
  std::uint64_t small_bytes_ = 0;
  Counts counts_;

  std::mutex mutex_;
  std::condition_variable_any progressed_;
  std::exception_ptr failure_;         // guarded by mutex_
  std::vector<std::jthread> workers_;  // last: joined before the rest goes
};

}  // namespace holdfast
