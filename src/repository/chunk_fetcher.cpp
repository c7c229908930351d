#include "repository/chunk_fetcher.h"

#include <algorithm>
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

class Fetch {
 public:
  Fetch(ChunkReader& reader, const std::vector<ChunkRequest>& requests,
        const std::function<void(const std::vector<std::size_t>&, ByteView)>& visit)
      : reader_(reader), requests_(requests), visit_(visit) {}

  void run(const Read& read, const std::stop_token& stop) {
    const PackIndex pack = requests_[read.first].address.pack;
    const std::string name = reader_.pack_name(pack);
    Buffer sealed(read.end - read.begin);
    if (!reader_.store().get_range(name, read.begin, sealed.span(), stop)) {
      throw Error(ErrorKind::kDamage, "a pack that the backup needs is missing", {.object = name});
    }
    const ChunkKey key = reader_.key_of(pack);
    Decompressor decompressor;
    Bytes plain;
    std::vector<std::size_t> tags;
    for (std::size_t i = read.first; i < read.last;) {
      const ChunkAddress address = requests_[i].address;
      tags.clear();
      for (; i < read.last && requests_[i].address == address; ++i) {
        tags.push_back(requests_[i].tag);
      }
      reader_.open(address, key,
                   sealed.span().subspan(address.offset - read.begin, address.sealed_length),
                   decompressor, plain);
      visit_(tags, plain);
    }
  }

 private:
  ChunkReader& reader_;
  const std::vector<ChunkRequest>& requests_;
  const std::function<void(const std::vector<std::size_t>&, ByteView)>& visit_;
};

}  // namespace

void fetch_chunks(
    ChunkReader& reader, std::vector<ChunkRequest> requests, const FetchOptions& options,
    const std::stop_token& stop,
    const std::function<void(const std::vector<std::size_t>& tags, ByteView plain)>& visit) {
  std::ranges::sort(requests, {}, [](const ChunkRequest& request) {
    return std::tuple(request.address.pack, request.address.offset, request.tag);
  });
  const std::vector<Read> reads = plan_reads(requests);
  Fetch fetch(reader, requests, visit);
  parallel_for(reads.size(), options.threads, stop,
               [&](std::size_t i, const std::stop_token& inner) { fetch.run(reads[i], inner); });
}

}  // namespace holdfast
