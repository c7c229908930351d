#include "repository/pack_writer.h"

#include <algorithm>

#include "core/cancellation.h"
#include "repository/write_once.h"

namespace holdfast {

struct PackWriter::Pack {
  Pack(DirectBuffer memory, std::string object, const Salt& pack_salt, const RepositoryKeys& keys)
      : buffer(std::move(memory)),
        name(std::move(object)),
        salt(pack_salt),
        key(keys.cipher, keys.data_key, pack_salt, name) {}

  DirectBuffer buffer;
  std::string name;  // of the object
  std::uint32_t number = 0;
  Salt salt;
  ChunkKey key;
  std::size_t used = kContainerHeaderBytes;  // these four are guarded by the writer's mutex
  std::uint32_t chunks = 0;
  std::uint32_t being_filled = 0;
  bool closed = false;
};

PackWriter::PackWriter(ObjectStore& store, const RepositoryKeys& keys, PackWriterOptions options,
                       std::stop_token stop)
    : store_(store),
      keys_(keys),
      options_(std::move(options)),
      on_stop_(std::move(stop), [this] { abandon_.request_stop(); }) {
  HF_INVARIANT(options_.pack_bytes <= kMaxObjectBytes && options_.uploads > 0);
  for (std::size_t i = 0; i < options_.uploads; ++i) {
    uploaders_.emplace_back([this] { upload_loop(); });
  }
}

PackWriter::~PackWriter() {
  abandon_.request_stop();
}

NewChunk PackWriter::add(std::uint32_t plain_length, Compression compression, ByteView payload) {
  const std::size_t length = payload.size() + kChunkOverheadBytes;
  HF_INVARIANT(kContainerHeaderBytes + length + kContainerTrailerBytes <= options_.pack_bytes);
  std::shared_ptr<Pack> pack;
  NewChunk place;
  {
    std::unique_lock lock(mutex_);
    pack = pack_with_room(lock, length);
    place = {pack->number, static_cast<std::uint32_t>(pack->used),
             static_cast<std::uint32_t>(length)};
    ++pack->chunks;
    pack->used += length;
    ++pack->being_filled;
  }
  try {
    pack->key.seal(place.offset, plain_length, compression, payload,
                   pack->buffer.span().subspan(place.offset, length));
  } catch (...) {  // the pack has a hole: it can never be stored, so nobody may wait for it
    fail(std::current_exception());
    throw;
  }
  const std::lock_guard lock(mutex_);
  --pack->being_filled;
  hand_over_if_sealed(pack);
  return place;
}

std::shared_ptr<PackWriter::Pack> PackWriter::pack_with_room(std::unique_lock<std::mutex>& lock,
                                                             std::size_t length) {
  for (;;) {
    check_going_on();
    if (open_ != nullptr) {
      if (open_->used + length + kContainerTrailerBytes <= open_->buffer.size()) return open_;
      close_open_pack();
    }
    if (buffer_available()) {
      open_ = new_pack();
      continue;
    }
    changed_.wait(lock, abandon_.get_token(),
                  [&] { return failure_ || open_ != nullptr || buffer_available(); });
  }
}

bool PackWriter::buffer_available() const {
  return !free_buffers_.empty() || buffers_made_ < options_.uploads + 1;
}

std::shared_ptr<PackWriter::Pack> PackWriter::new_pack() {
  DirectBuffer buffer;
  if (free_buffers_.empty()) {
    buffer = DirectBuffer(options_.pack_bytes);
    ++buffers_made_;
  } else {
    buffer = std::move(free_buffers_.back());
    free_buffers_.pop_back();
  }
  const Salt salt = random_salt();
  salts_.push_back(salt);
  ++unfinished_;
  const auto number = options_.first_number + static_cast<std::uint32_t>(salts_.size() - 1);
  auto pack = std::make_shared<Pack>(
      std::move(buffer), names::pack(options_.backup, options_.kind, number), salt, keys_);
  pack->number = number;
  encode_header({.kind = options_.kind == names::PackKind::kData ? ContainerKind::kDataPack
                                                                 : ContainerKind::kMapPack,
                 .cipher = keys_.cipher,
                 .repository_id = keys_.repository_id,
                 .salt = salt},
                pack->buffer.span().first(kContainerHeaderBytes));
  return pack;
}

void PackWriter::close_open_pack() {
  const std::shared_ptr<Pack> pack = std::exchange(open_, nullptr);
  pack->closed = true;
  hand_over_if_sealed(pack);
}

void PackWriter::hand_over_if_sealed(const std::shared_ptr<Pack>& pack) {
  if (!pack->closed || pack->being_filled > 0) return;
  full_.push_back(pack);
  changed_.notify_all();
}

void PackWriter::upload_loop() {
  for (;;) {
    std::shared_ptr<Pack> pack;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, abandon_.get_token(), [&] { return !full_.empty(); })) return;
      pack = std::move(full_.front());
      full_.pop_front();
    }
    try {
      upload(*pack);
    } catch (...) {
      fail(std::current_exception());
      return;
    }
  }
}

void PackWriter::upload(Pack& pack) {
  const MutableByteView memory = pack.buffer.span();
  const auto trailer = make_trailer(memory.first(pack.used), pack.chunks);
  std::ranges::copy(trailer, memory.begin() + static_cast<std::ptrdiff_t>(pack.used));
  const std::size_t bytes = pack.used + trailer.size();
  put_once(store_, pack.name, memory.first(bytes),
           options_.kind == names::PackKind::kData ? ObjectClass::kData : ObjectClass::kCatalogue,
           abandon_.get_token());
  const StoredPack stored{pack.number, static_cast<std::uint32_t>(bytes), pack.salt};
  if (options_.stored) options_.stored(stored);  // before finish() can see the pack as done
  {
    const std::lock_guard lock(mutex_);
    stored_.push_back(stored);
    free_buffers_.push_back(std::move(pack.buffer));
    --unfinished_;
  }
  changed_.notify_all();
}

void PackWriter::fail(std::exception_ptr failure) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
  }
  abandon_.request_stop();
  changed_.notify_all();
}

void PackWriter::check_going_on() const {
  if (failure_) std::rethrow_exception(failure_);
  check_cancelled(abandon_.get_token());
}

std::vector<StoredPack> PackWriter::finish() {
  std::unique_lock lock(mutex_);
  if (open_ != nullptr) close_open_pack();
  changed_.wait(lock, abandon_.get_token(), [&] { return failure_ || unfinished_ == 0; });
  check_going_on();
  std::ranges::sort(stored_, {}, &StoredPack::number);
  return stored_;
}

Salt PackWriter::salt(std::uint32_t pack_number) const {
  const std::lock_guard lock(mutex_);
  return salts_.at(pack_number - options_.first_number);
}

}  // namespace holdfast
