// Opening and decompressing a chunk. The first byte of the input says how: with which cipher, and
// whether length and checksum are mended first, so that what lies behind them is reached.

#include <algorithm>

#include "core/error.h"
#include "fuzz_target.h"
#include "seal/chunk.h"
#include "seal/hash.h"

namespace holdfast::fuzz {
namespace {

constexpr unsigned kEncrypted = 1;
constexpr unsigned kMended = 2;

const Salt kSalt{};

void mend(MutableByteView chunk) {
  if (chunk.size() < kChunkOverheadBytes) return;
  store_le(chunk.data(), static_cast<std::uint32_t>(chunk.size()));
  const MutableByteView checked = chunk.first(chunk.size() - kChunkTagBytes);
  std::ranges::copy(xxh3_128(checked, ChecksumSeed{0}), chunk.last(kChunkTagBytes).begin());
}

void run(ByteView input) {
  if (input.empty()) return;
  const auto how = std::to_integer<unsigned>(input[0]);
  const ChunkKey key((how & kEncrypted) != 0 ? Cipher::kAes256Gcm : Cipher::kNone, Secret(), kSalt);
  Bytes chunk = to_bytes(input.subspan(1));
  if ((how & kMended) != 0) mend(chunk);
  const Bytes sealed = chunk;  // open() works in place
  const auto opened = key.open(chunk);
  Bytes again(sealed.size());
  key.seal(opened.ordinal, opened.plain_length, opened.compression, opened.payload, again);
  HF_INVARIANT(again == sealed);
  Buffer plain(opened.plain_length);
  Decompressor().decompress(opened.compression, opened.payload, plain.span());
}

Bytes seed(unsigned how, CompressionChoice choice) {
  const ChunkKey key((how & kEncrypted) != 0 ? Cipher::kAes256Gcm : Cipher::kNone, Secret(), kSalt);
  Bytes plain(600, std::byte{'x'});
  for (std::size_t i = 0; i < plain.size(); i += 7) plain[i] = static_cast<std::byte>(i);
  Compressor compressor(choice);
  const auto [compression, payload] = compressor.compress(plain);
  Bytes out(1 + payload.size() + kChunkOverheadBytes);
  out[0] = static_cast<std::byte>(how);
  key.seal(3, static_cast<std::uint32_t>(plain.size()), compression, payload,
           MutableByteView(out).subspan(1));
  return out;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> out;
  for (const Compression compression :
       {Compression::kNone, Compression::kZstd, Compression::kLz4, Compression::kGzip}) {
    for (const unsigned how : {0U, kEncrypted, kMended}) {
      out.push_back(seed(how, {.compression = compression, .level = 1}));
    }
  }
  return out;
}

HOLDFAST_FUZZ_TARGET(chunk_open, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
