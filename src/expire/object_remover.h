#pragma once
// Removes objects in batches, in the order in which they were given, and counts. What cannot be
// removed is counted too and is no error.
// Errors: those of the store. Threads: one at a time.

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/repository.h"

namespace holdfast {

struct RemovedObjects {
  std::uint64_t objects = 0, bytes = 0;
  std::uint64_t failed = 0;     // still there
  std::string failed_example;   // name and reason of one of them
  std::uint64_t foreign = 0;    // left alone: not Holdfast's
  std::string foreign_example;  // name
};

class ObjectRemover {
 public:
  ObjectRemover(ObjectStore& store, RemovedObjects& counts, std::stop_token stop)
      : store_(store), counts_(counts), stop_(std::move(stop)) {}
  // Batched; flush() at the end.
  void add(const ObjectInfo& object);
  // True when all of them are gone.
  bool flush();
  // At once, before anything that is added later. False when it is still there.
  bool remove_now(const std::string& name);
  void note_foreign(const ObjectInfo& object);

 private:
  ObjectStore& store_;
  RemovedObjects& counts_;
  const std::stop_token stop_;
  std::vector<std::string> batch_;
  std::uint64_t batch_bytes_ = 0;
};

}  // namespace holdfast
