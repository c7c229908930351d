// Compression alone: how long all cores need to cut the files of a folder into chunks, compress and
// seal them, with no output. The lower bound that a backup is compared with (bench/run), and the
// way to choose chunk size and level.
//
//   compress_bench [--chunk KIB] [--level N] [--threads N] [--encrypt] [--hash] FOLDER
//
// Prints one JSON object: wall and CPU seconds, plain and stored bytes. Reading is part of it (put
// the files into the page cache first). WAL is left out, as a backup leaves it out. Chunks that are
// all zero are skipped. A file shorter than a chunk is a chunk of its own here, while a backup puts
// small files together.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "core/error.h"
#include "seal/chunk.h"
#include "seal/hash.h"

namespace holdfast {
namespace {

constexpr std::size_t kPageBytes = 8192;
constexpr std::size_t kSliceBytes = std::size_t{16} << 20U;  // what one thread takes at a time

struct Options {
  std::size_t chunk_bytes = std::size_t{256} << 10U;
  int level = 1;
  unsigned threads = std::thread::hardware_concurrency();
  Cipher cipher = Cipher::kNone;
  bool hash = false;
  std::string folder;
};

struct Slice {
  std::string path;
  std::size_t offset, length;
};

struct Totals {
  std::atomic<std::size_t> plain{0}, stored{0}, chunks{0};
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::atol(argv[++i]) : 0L; };
    if (word == "--chunk") {
      options.chunk_bytes = static_cast<std::size_t>(number()) << 10U;
    } else if (word == "--level") {
      options.level = static_cast<int>(number());
    } else if (word == "--threads") {
      options.threads = static_cast<unsigned>(number());
    } else if (word == "--encrypt") {
      options.cipher = Cipher::kAes256Gcm;
    } else if (word == "--hash") {
      options.hash = true;
    } else if (!word.starts_with("--")) {
      options.folder = word;
    } else {
      return std::nullopt;
    }
  }
  const bool usable = !options.folder.empty() && options.threads > 0 && options.level != 0 &&
                      options.chunk_bytes > 0 && options.chunk_bytes <= kMaxChunkPlainBytes;
  return usable ? std::optional(options) : std::nullopt;
}

std::vector<Slice> list_slices(const std::string& folder) {
  std::vector<Slice> slices;
  for (auto at = std::filesystem::recursive_directory_iterator(folder); const auto& entry : at) {
    if (entry.is_directory() && entry.path().filename() == "pg_wal") at.disable_recursion_pending();
    if (!entry.is_regular_file()) continue;
    const std::size_t size = entry.file_size();
    for (std::size_t offset = 0; offset < size; offset += kSliceBytes) {
      slices.push_back({entry.path(), offset, std::min(kSliceBytes, size - offset)});
    }
  }
  return slices;
}

class Worker {
 public:
  Worker(const Options& options, Totals& totals)
      : options_(options),
        totals_(totals),
        compressor_({Compression::kZstd, options.level}),
        key_(options.cipher, Secret::random(), random_salt()),
        hasher_(Secret::random()),
        plain_(options.chunk_bytes),
        sealed_(options.chunk_bytes + kChunkOverheadBytes) {}

  void run(const Slice& slice) {
    const int fd = ::open(slice.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw_errno(errno, "open", slice.path);
    for (std::size_t done = 0; done < slice.length;) {
      const std::size_t wanted = std::min(plain_.size(), slice.length - done);
      const ssize_t got =
          ::pread(fd, plain_.data(), wanted, static_cast<off_t>(slice.offset + done));
      if (got <= 0) break;  // shorter than it was listed: the server is at work
      done += static_cast<std::size_t>(got);
      seal(plain_.view().first(static_cast<std::size_t>(got)));
    }
    ::close(fd);
  }

 private:
  void seal(ByteView plain) {
    totals_.plain += plain.size();
    if (is_zero(plain)) return;
    if (options_.hash) hash_pages(plain);
    const auto [compression, payload] = compressor_.compress(plain);
    const auto out = sealed_.span().first(payload.size() + kChunkOverheadBytes);
    key_.seal(ordinal_++, static_cast<std::uint32_t>(plain.size()), compression, payload, out);
    totals_.stored += out.size();
    ++totals_.chunks;
  }

  void hash_pages(ByteView plain) {
    for (std::size_t at = 0; at < plain.size(); at += kPageBytes) {
      sum_ ^= hasher_(plain.subspan(at, std::min(kPageBytes, plain.size() - at)));
    }
  }

  const Options& options_;
  Totals& totals_;
  Compressor compressor_;
  ChunkKey key_;
  PageHasher hasher_;
  Buffer plain_, sealed_;
  std::uint32_t ordinal_ = 0;
  std::uint64_t sum_ = 0;
};

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void measure(const Options& options) {
  const std::vector<Slice> slices = list_slices(options.folder);
  Totals totals;
  std::atomic<std::size_t> next{0};
  const double wall = seconds_of(CLOCK_MONOTONIC);
  const double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < options.threads; ++i) {
      threads.emplace_back([&] {
        Worker worker(options, totals);
        for (std::size_t at = next++; at < slices.size(); at = next++) worker.run(slices[at]);
      });
    }
  }
  std::printf(
      "{\"chunk_kib\": %zu, \"level\": %d, \"threads\": %u, \"wall\": %.3f, \"cpu\": %.3f, "
      "\"plain\": %zu, \"stored\": %zu, \"chunks\": %zu}\n",
      options.chunk_bytes >> 10U, options.level, options.threads,
      seconds_of(CLOCK_MONOTONIC) - wall, seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu,
      totals.plain.load(), totals.stored.load(), totals.chunks.load());
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  const auto options = holdfast::parse(argc, argv);
  if (!options) {
    std::fprintf(stderr,
                 "usage: compress_bench [--chunk KIB] [--level N] [--threads N] [--encrypt] "
                 "[--hash] FOLDER\n");
    return 2;
  }
  try {
    holdfast::measure(*options);
    return 0;
  } catch (const holdfast::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return holdfast::exit_code(error.kind());
  }
}
