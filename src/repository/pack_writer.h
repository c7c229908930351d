#pragma once
// PackWriter: fills packs with sealed chunks from several threads, and stores them.
//
// One pack is open at a time. A thread compresses on its own, reserves room in the open pack under
// a lock, and seals straight into it outside the lock; the thread that fills the last room hands
// the pack to an uploader and the next one opens. So chunks of one file lie close together, and
// memory is (1 + uploads) packs whatever the number of threads.
//
// Consistency: an address returned by add() is readable once finish() has returned; finish()
//   returns only when the store accepted every pack.
// Crashes, cancellation: packs that were stored stay behind without anything naming them; the
//   backup's `outcome` decides what becomes of them. Nothing is retried here: the store does that.
// Errors: the first failure of an upload is thrown by the next add() or by finish().
// Threads: add() from any number of threads; finish() once, after the last add().

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "repository/container.h"
#include "repository/names.h"
#include "storage/object_store.h"
#include "system/direct_write.h"

namespace holdfast {

// What a manifest says of one stored pack.
struct StoredPack {
  std::uint32_t number = 0;
  std::uint32_t bytes = 0;
  Salt salt{};
};

// Where a sealed chunk lies: in pack `number` of the backup that is being written.
struct NewChunk {
  std::uint32_t pack = 0;  // number of the pack
  std::uint32_t offset = 0;
  std::uint32_t sealed_length = 0;
};

struct PackWriterOptions {
  BackupName backup;
  names::PackKind kind = names::PackKind::kData;
  std::size_t pack_bytes = std::size_t{32} << 20U;     // a pack is closed when a chunk does not fit
  std::size_t uploads = 2;                             // packs in flight besides the open one
  std::uint32_t first_number = 1;                      // of the first pack
  std::function<void(const StoredPack&)> stored = {};  // after each pack; from an upload thread
};

class PackWriter {
 public:
  PackWriter(ObjectStore& store, const RepositoryKeys& keys, PackWriterOptions options,
             std::stop_token stop);
  ~PackWriter();  // abandons what was not finished

  NewChunk add(std::uint32_t plain_length, Compression compression, ByteView payload);
  // Stores the last pack, waits for all, returns them by number.
  std::vector<StoredPack> finish();
  Salt salt(std::uint32_t pack_number) const;

 private:
  struct Pack;
  std::shared_ptr<Pack> pack_with_room(std::unique_lock<std::mutex>& lock, std::size_t length);
  std::shared_ptr<Pack> new_pack();
  bool buffer_available() const;
  void close_open_pack();
  void hand_over_if_sealed(const std::shared_ptr<Pack>& pack);
  void upload_loop();
  void upload(Pack& pack);
  void fail(std::exception_ptr failure);
  void check_going_on() const;

  ObjectStore& store_;
  const RepositoryKeys& keys_;
  const PackWriterOptions options_;
  std::stop_source abandon_;  // stopped by the caller's token, a failure or the destructor
  std::stop_callback<std::function<void()>> on_stop_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::shared_ptr<Pack> open_;              // guarded by mutex_, as is all below
  std::deque<std::shared_ptr<Pack>> full_;  // sealed to the last byte, waiting for an uploader
  std::vector<DirectBuffer> free_buffers_;
  std::size_t buffers_made_ = 0;
  std::size_t unfinished_ = 0;  // packs opened and not yet stored
  std::vector<StoredPack> stored_;
  std::vector<Salt> salts_;
  std::exception_ptr failure_;
  std::vector<std::jthread> uploaders_;  // last: joined before the rest goes
};

}  // namespace holdfast
