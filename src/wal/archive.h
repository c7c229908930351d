#pragma once
// The repositories that hold WAL, as the pipelines see them: opened when first needed, each once.
// Threads: any. Errors: those of opening; a repository that failed is tried again by the next call.

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/history.h"
#include "repository/repository.h"

namespace holdfast {

struct ArchiveRepository {
  std::string name;  // in the configuration
  std::string url;
  std::function<std::unique_ptr<Repository>(const std::stop_token&)> open;
  // Without keys; where it is empty, the opened repository's is used.
  std::function<std::unique_ptr<ObjectStore>()> open_store = {};
};

class Archive {
 public:
  Archive(std::string cluster, std::vector<ArchiveRepository> repositories);
  ~Archive();

  const std::string& cluster() const { return cluster_; }
  std::size_t size() const { return repositories_.size(); }
  const ArchiveRepository& about(std::size_t index) const { return repositories_.at(index); }
  // The descriptor was read and authenticated by this process.
  const Repository& repository(std::size_t index, const std::stop_token& stop);
  // What is in its place now; no descriptor is read for it.
  ObjectStore& store(std::size_t index, const std::stop_token& stop);
  // The id of the repository that is there now: its descriptor is read again, and not
  // authenticated. nullopt: there is none.
  std::optional<RepositoryId> id_now(std::size_t index, const std::stop_token& stop);
  // kRefused when that is not the one that was opened, which must not get objects of the other: for
  // whoever lives for long.
  void require_same_repository(std::size_t index, const std::stop_token& stop);
  // The same; an answer is good for five times as long as asking took, half a second at most, from
  // when it was asked for. So a store in a folder is asked nearly every time, and one 20 ms away
  // not between one object and the next. Threads that ask at once wait for one answer.
  void require_same_repository_lately(std::size_t index, const std::stop_token& stop);
  // The histories of the cluster, as they were when they were asked for after the last
  // forget_histories().
  std::vector<HistoryRecord> histories(std::size_t index, const std::stop_token& stop);
  void forget_histories();

 private:
  struct Slot {
    std::mutex mutex;
    std::unique_ptr<Repository> repository;
    std::unique_ptr<ObjectStore> store;
    std::optional<std::vector<HistoryRecord>> histories;
    std::mutex asking;  // held while the store answers, unlike the other one; guards same_until
    std::chrono::steady_clock::time_point same_until;
  };
  const std::string cluster_;
  const std::vector<ArchiveRepository> repositories_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace holdfast
