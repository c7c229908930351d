// How fast one core compresses, seals, opens and hashes table pages, and how small they become:
// the numbers behind the default chunk size and level.
//
//   seal_bench FILE [SAMPLE_MIB]
//
// FILE: relation files of a PostgreSQL cluster, one after the other. SAMPLE_MIB (default 256) of it
// are spread over the whole file. Rates count CPU time of this thread, so that a busy machine does
// not spoil them, in 10^6 bytes of plain data a second.

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "core/error.h"
#include "seal/chunk.h"
#include "seal/hash.h"

namespace holdfast {
namespace {

constexpr std::size_t kPageBytes = 8192;
constexpr std::size_t kPieceBytes = std::size_t{4} << 20U;  // sampled in pieces of this size

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <class Work>
double timed(Work&& work) {
  const double begin = cpu_seconds();
  work();
  return cpu_seconds() - begin;
}

double rate(std::size_t bytes, double seconds) {
  return static_cast<double>(bytes) / seconds / 1e6;
}

Buffer read_sample(const char* path, std::size_t wanted) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_errno(errno, "open", path);
  struct stat status{};
  if (::fstat(fd, &status) != 0) throw_errno(errno, "examine", path);
  const std::size_t pieces_there = static_cast<std::size_t>(status.st_size) / kPieceBytes;
  const std::size_t pieces = std::min(pieces_there, wanted / kPieceBytes);
  Buffer sample(pieces * kPieceBytes);
  for (std::size_t i = 0; i < pieces; ++i) {
    const std::size_t at = i * pieces_there / pieces * kPieceBytes;
    const ssize_t got =
        ::pread(fd, sample.data() + i * kPieceBytes, kPieceBytes, static_cast<off_t>(at));
    if (got != static_cast<ssize_t>(kPieceBytes)) throw_errno(errno, "read", path);
  }
  ::close(fd);
  return sample;
}

template <class Each>
void for_each_chunk(ByteView sample, std::size_t chunk_bytes, Each&& each) {
  for (std::size_t at = 0; at < sample.size(); at += chunk_bytes) {
    each(sample.subspan(at, std::min(chunk_bytes, sample.size() - at)));
  }
}

struct Piece {
  Compression compression;
  Bytes payload;
  std::size_t plain;
};

void measure_choice(ByteView sample, std::size_t chunk_bytes, CompressionChoice choice,
                    const char* name) {
  Compressor compressor(choice);
  std::size_t stored = 0;
  const double packing = timed([&] {
    for_each_chunk(sample, chunk_bytes, [&](ByteView plain) {
      stored += compressor.compress(plain).payload.size() + kChunkOverheadBytes;
    });
  });
  std::vector<Piece> pieces;
  for_each_chunk(sample.first(sample.size() / 4), chunk_bytes, [&](ByteView plain) {
    const auto [compression, payload] = compressor.compress(plain);
    pieces.push_back({compression, to_bytes(payload), plain.size()});
  });
  Decompressor decompressor;
  Buffer out(chunk_bytes);
  const double unpacking = timed([&] {
    for (const Piece& piece : pieces) {
      decompressor.decompress(piece.compression, piece.payload, out.span().first(piece.plain));
    }
  });
  std::printf("%5zu KiB  %-8s %4d  %8.0f  %8.0f  %7.3f\n", chunk_bytes >> 10U, name, choice.level,
              rate(sample.size(), packing), rate(sample.size() / 4, unpacking),
              static_cast<double>(sample.size()) / static_cast<double>(stored));
  std::fflush(stdout);
}

// What `zstd -3` makes of the sample as one stream: the size to compare with.
void measure_stream(ByteView sample, int level) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  Buffer out(ZSTD_compressBound(sample.size()));
  std::size_t size = 0;
  const double seconds = timed([&] {
    size = ZSTD_compress2(context.get(), out.data(), out.size(), sample.data(), sample.size());
  });
  std::printf("   stream  zstd     %4d  %8.0f         -  %7.3f\n", level,
              rate(sample.size(), seconds),
              static_cast<double>(sample.size()) / static_cast<double>(size));
}

void measure_sealing(Cipher cipher, const char* name) {
  constexpr std::size_t kPayload = 32 << 10U;  // a 128 KiB chunk once compressed
  constexpr std::uint32_t kRounds = 20'000;
  const ChunkKey key(cipher, Secret::random(), random_salt());
  const Bytes payload(kPayload);
  Bytes chunk(kPayload + kChunkOverheadBytes);
  const double sealing = timed([&] {
    for (std::uint32_t i = 0; i < kRounds; ++i) {
      key.seal(i, kPayload, Compression::kNone, payload, chunk);
    }
  });
  Bytes work(chunk.size());
  const double opening = timed([&] {
    for (std::uint32_t i = 0; i < kRounds; ++i) {
      std::copy(chunk.begin(), chunk.end(), work.begin());
      key.open(work);
    }
  });
  std::printf("%-28s seal %8.0f  open %8.0f MB/s\n", name, rate(kPayload * kRounds, sealing),
              rate(kPayload * kRounds, opening));
}

template <class Hash>
void measure_hash(ByteView sample, std::size_t unit, const char* name, Hash&& hash) {
  std::size_t sum = 0;
  const double seconds =
      timed([&] { for_each_chunk(sample, unit, [&](ByteView bytes) { sum += hash(bytes); }); });
  std::printf("%-28s %8.0f MB/s   (%zx)\n", name, rate(sample.size(), seconds), sum & 0xffU);
}

void measure_hashes(ByteView sample) {
  const PageHasher hasher(Secret::random());
  const Bytes zeros(std::size_t{64} << 20U);
  const auto first = [](const auto& digest) { return std::to_integer<std::size_t>(digest[0]); };
  measure_hash(sample, kPageBytes, "page hash, 8 KiB", [&](ByteView page) { return hasher(page); });
  measure_hash(sample, std::size_t{128} << 10U, "xxh3-128, 128 KiB",
               [&](ByteView bytes) { return first(xxh3_128(bytes)); });
  measure_hash(sample, std::size_t{16} << 20U, "sha-256, 16 MiB",
               [&](ByteView bytes) { return first(sha256(bytes)); });
  measure_hash(zeros, kPageBytes, "is_zero, 8 KiB of zeros",
               [&](ByteView page) { return is_zero(page) ? 1U : 0U; });
}

int run(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: seal_bench FILE [SAMPLE_MIB]\n");
    return 2;
  }
  const std::size_t mib = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 256;
  const Buffer sample = read_sample(argv[1], mib << 20U);
  measure_hashes(sample.view());
  measure_sealing(Cipher::kAes256Gcm, "aes-256-gcm, 32 KiB");
  measure_sealing(Cipher::kNone, "xxh3-128 seal, 32 KiB");
  std::printf("\n    chunk  method  level  pack MB/s  unpack MB/s  ratio\n");
  for (const int level : {1, 3}) measure_stream(sample.view(), level);
  for (const std::size_t kib : {64, 128, 256, 512}) {
    for (const int level : {-5, -3, -1, 1, 2, 3}) {
      measure_choice(sample.view(), kib << 10U, {Compression::kZstd, level}, "zstd");
    }
    measure_choice(sample.view(), kib << 10U, {Compression::kLz4, 1}, "lz4");
  }
  return 0;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  try {
    return holdfast::run(argc, argv);
  } catch (const holdfast::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return holdfast::exit_code(error.kind());
  }
}
