#include "repository/chunk_fetcher.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <tuple>

#include "core/error.h"
#include "core/parallel.h"

namespace holdfast {
namespace {

// Bytes between two chunks that are read along rather than asking twice.
constexpr std::uint32_t kGapBytes = std::uint32_t{64} << 10U;

// Requests [first, last) of the sorted list, all in one pack.
struct Read {
  std::size_t first = 0, last = 0;
  std::uint32_t begin = 0, end = 0;  // bytes of the pack
};

std::vector<Read> plan_reads(const std::vector<ChunkRequest>& sorted) {
  std::vector<Read> reads;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const ChunkAddress& chunk = sorted[i].address;
    const std::uint32_t end = chunk.offset + chunk.sealed_length;
    if (!reads.empty()) {
      Read& read = reads.back();
      const bool same_pack = sorted[read.first].address.pack == chunk.pack;
      if (same_pack && chunk.offset <= read.end + kGapBytes && end - read.begin <= kReadBytes) {
        read.last = i + 1;
        read.end = std::max(read.end, end);
        continue;
      }
    }
    reads.push_back({i, i + 1, chunk.offset, end});
  }
  return reads;
}

using Visit = std::function<void(const std::vector<std::size_t>&, ByteView)>;

class Fetch {
 public:
  Fetch(ChunkReader& reader, const std::vector<ChunkRequest>& requests, const FetchOptions& options,
        const Visit& visit)
      : reader_(reader), requests_(requests), options_(options), visit_(visit) {}

  void run(const Read& read, const std::stop_token& stop) const {
    const std::size_t bytes = read.end - read.begin;
    Lease lease(*this, bytes);
    const MutableByteView sealed = lease.memory().first(bytes);
    if (const auto error = get(read, sealed, stop)) {
      // A pack that ends too early may still hold the first of these chunks.
      if (address(read.first) == address(read.last - 1)) return fail(read, *error);
      return each_chunk(read, [&](const Read& chunk) { run(chunk, stop); });
    }
    const ChunkKey key = reader_.key_of(address(read.first).pack);
    Decompressor decompressor;
    Bytes plain;
    each_chunk(read, [&](const Read& chunk) {
      const ChunkAddress at = address(chunk.first);
      try {
        reader_.open(at, key, sealed.subspan(at.offset - read.begin, at.sealed_length),
                     decompressor, plain);
      } catch (const Error& error) {
        if (!options_.failed || error.kind() != ErrorKind::kDamage) throw;
        return fail(chunk, error);
      }
      visit_(tags(chunk), plain);
    });
  }

 private:
  // Memory for one read, taken over from an earlier one: fresh memory costs the kernel nearly as
  // much work as reading into it.
  class Lease {
   public:
    Lease(const Fetch& fetch, std::size_t bytes) : fetch_(fetch) {
      {
        const std::lock_guard lock(fetch_.mutex_);
        if (!fetch_.free_.empty()) {
          buffer_ = std::move(fetch_.free_.back());
          fetch_.free_.pop_back();
        }
      }
      if (buffer_.size() < bytes) buffer_ = Buffer(std::max(bytes, kReadBytes));
    }
    ~Lease() {
      const std::lock_guard lock(fetch_.mutex_);
      fetch_.free_.push_back(std::move(buffer_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    MutableByteView memory() { return buffer_.span(); }

   private:
    const Fetch& fetch_;
    Buffer buffer_;
  };

  const ChunkAddress& address(std::size_t request) const { return requests_[request].address; }

  std::vector<std::size_t> tags(const Read& read) const {
    std::vector<std::size_t> tags;
    for (std::size_t i = read.first; i < read.last; ++i) tags.push_back(requests_[i].tag);
    return tags;
  }

  void fail(const Read& read, const Error& error) const { options_.failed(tags(read), error); }

  // `work` for each distinct chunk of `read`.
  template <class Work>
  void each_chunk(const Read& read, Work&& work) const {
    for (std::size_t i = read.first; i < read.last;) {
      const std::size_t first = i;
      while (i < read.last && address(i) == address(first)) ++i;
      const ChunkAddress& at = address(first);
      work(Read{first, i, at.offset, at.offset + at.sealed_length});
    }
  }

  // The damage that keeps these bytes from being read, where it is to be told and not thrown.
  std::optional<Error> get(const Read& read, MutableByteView sealed,
                           const std::stop_token& stop) const {
    const std::string name = reader_.pack_name(address(read.first).pack);
    try {
      if (!reader_.store().get_range(name, read.begin, sealed, stop)) {
        throw Error(ErrorKind::kDamage, "a pack that the backup needs is missing",
                    {.object = name});
      }
    } catch (const Error& error) {
      if (!options_.failed || error.kind() != ErrorKind::kDamage) throw;
      return error;
    }
    return std::nullopt;
  }

  ChunkReader& reader_;
  const std::vector<ChunkRequest>& requests_;
  const FetchOptions& options_;
  const Visit& visit_;
  mutable std::mutex mutex_;
  mutable std::vector<Buffer> free_;  // guarded by mutex_; as many as reads were under way at once
};

}  // namespace

void fetch_chunks(
    ChunkReader& reader, std::vector<ChunkRequest> requests, const FetchOptions& options,
    const std::stop_token& stop,
    const std::function<void(const std::vector<std::size_t>& tags, ByteView plain)>& visit) {
  std::ranges::sort(requests, {}, [](const ChunkRequest& request) {
    return std::tuple(request.address.pack, request.address.offset, request.address.sealed_length,
                      request.tag);
  });
  const std::vector<Read> reads = plan_reads(requests);
  const Fetch fetch(reader, requests, options, visit);
  parallel_for(reads.size(), options.threads, stop,
               [&](std::size_t i, const std::stop_token& inner) { fetch.run(reads[i], inner); });
}

}  // namespace holdfast
