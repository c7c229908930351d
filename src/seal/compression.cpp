#include <optional>
#include <string>

#include <lz4.h>
#include <zlib.h>
#include <zstd.h>

#include "core/error.h"
#include "seal/chunk.h"

namespace holdfast {
namespace {

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

[[noreturn]] void out_of_memory() {
  throw Error(ErrorKind::kHost, "out of memory for a compression context");
}

[[noreturn]] void damaged() {
  throw Error(ErrorKind::kDamage, "a chunk does not decompress to what its header promises");
}

// Deflate without framing: the chunk has lengths and a tag of its own.
constexpr int kRawDeflateWindowBits = -15;
constexpr int kDeflateMemoryLevel = 8;

Bytef* zlib_bytes(const std::byte* data) {  // zlib's next_in is not const
  return reinterpret_cast<Bytef*>(const_cast<std::byte*>(data));
}

class Deflater {
 public:
  explicit Deflater(int level) {
    if (deflateInit2(&stream_, level, Z_DEFLATED, kRawDeflateWindowBits, kDeflateMemoryLevel,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
      out_of_memory();
    }
  }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  ~Deflater() { deflateEnd(&stream_); }

  // The compressed length, or nullopt if it does not fit.
  std::optional<std::size_t> run(ByteView plain, MutableByteView out) {
    HF_INVARIANT(deflateReset(&stream_) == Z_OK);
    stream_.next_in = zlib_bytes(plain.data());
    stream_.avail_in = static_cast<uInt>(plain.size());
    stream_.next_out = zlib_bytes(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    if (deflate(&stream_, Z_FINISH) != Z_STREAM_END) return std::nullopt;
    return out.size() - stream_.avail_out;
  }

 private:
  z_stream stream_{};  // points to itself: not movable
};

class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, kRawDeflateWindowBits) != Z_OK) out_of_memory();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  // Whether `payload` is exactly one stream that gives exactly `plain`.
  bool run(ByteView payload, MutableByteView plain) {
    HF_INVARIANT(inflateReset(&stream_) == Z_OK);
    stream_.next_in = zlib_bytes(payload.data());
    stream_.avail_in = static_cast<uInt>(payload.size());
    stream_.next_out = zlib_bytes(plain.data());
    stream_.avail_out = static_cast<uInt>(plain.size());
    return inflate(&stream_, Z_FINISH) == Z_STREAM_END && stream_.avail_in == 0 &&
           stream_.avail_out == 0;
  }

 private:
  z_stream stream_{};
};

struct LevelRange {
  int lowest, highest;
};

void check_level(const char* name, LevelRange allowed, int level) {
  if (level >= allowed.lowest && level <= allowed.highest && level != 0) return;
  throw Error(ErrorKind::kConfiguration, fmt::format("{} has no compression level {}", name, level),
              {.hint = fmt::format("Choose a level from {} to {}, but not 0.", allowed.lowest,
                                   allowed.highest)});
}

constexpr LevelRange kZstdLevels{-50, 19};  // above 19 needs windows that no chunk fills
constexpr LevelRange kGzipLevels{1, 9};

// Level 1 is what backups and WAL are compressed with unless somebody says otherwise. On table
// pages and WAL a hash table that stays in the first-level cache (4,096 entries of 4 bytes) and
// matches from 5 bytes on give smaller results in less time than zstd's own choice, which is made
// for larger inputs (docs/performance.md).
constexpr int kTunedLevel = 1;
constexpr int kTunedHashLog = 12;
constexpr int kTunedMinMatch = 5;

std::size_t bound(Compression compression, std::size_t size) {
  switch (compression) {
    case Compression::kZstd:
      return ZSTD_compressBound(size);
    case Compression::kLz4:
      return static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(size)));
    case Compression::kGzip:
    case Compression::kNone:
      return size;  // more would not be kept
  }
  return size;
}

const char* chars(ByteView bytes) {
  return reinterpret_cast<const char*>(bytes.data());
}
char* chars(MutableByteView bytes) {
  return reinterpret_cast<char*>(bytes.data());
}

}  // namespace

struct Compressor::State {
  CompressionChoice choice;
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd;
  std::optional<Deflater> deflater;
  Buffer out;

  void open_zstd() {
    check_level("zstd", kZstdLevels, choice.level);
    zstd.reset(ZSTD_createCCtx());
    if (!zstd) out_of_memory();
    const auto set = [&](ZSTD_cParameter parameter, int value) {
      HF_INVARIANT(ZSTD_isError(ZSTD_CCtx_setParameter(zstd.get(), parameter, value)) == 0);
    };
    set(ZSTD_c_compressionLevel, choice.level);
    if (choice.level == kTunedLevel) {
      set(ZSTD_c_hashLog, kTunedHashLog);
      set(ZSTD_c_minMatch, kTunedMinMatch);
    }
    set(ZSTD_c_contentSizeFlag, 0);  // the header of the chunk has it
    set(ZSTD_c_checksumFlag, 0);     // the chunk has a tag
  }

  std::optional<std::size_t> run(ByteView plain) {
    switch (choice.compression) {
      case Compression::kNone:
        return std::nullopt;
      case Compression::kZstd: {
        const std::size_t size =
            ZSTD_compress2(zstd.get(), out.data(), out.size(), plain.data(), plain.size());
        if (ZSTD_isError(size) != 0) out_of_memory();  // nothing else can fail with enough room
        return size;
      }
      case Compression::kLz4: {
        const int size =
            LZ4_compress_default(chars(plain), chars(out.span()), static_cast<int>(plain.size()),
                                 static_cast<int>(out.size()));
        HF_INVARIANT(size > 0);
        return static_cast<std::size_t>(size);
      }
      case Compression::kGzip:
        return deflater->run(plain, out.span());
    }
    return std::nullopt;
  }
};

Compressor::Compressor(CompressionChoice choice) : state_(std::make_unique<State>()) {
  state_->choice = choice;
  if (choice.compression == Compression::kZstd) state_->open_zstd();
  if (choice.compression == Compression::kGzip) {
    check_level("gzip", kGzipLevels, choice.level);
    state_->deflater.emplace(choice.level);
  }
}

Compressor::~Compressor() = default;
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;

Compressor::Result Compressor::compress(ByteView plain) {
  HF_INVARIANT(plain.size() <= kMaxChunkPlainBytes);
  const Compression compression = state_->choice.compression;
  if (compression == Compression::kNone || plain.empty()) return {Compression::kNone, plain};
  const std::size_t needed = bound(compression, plain.size());
  if (state_->out.size() < needed) state_->out = Buffer(needed);
  const auto size = state_->run(plain);
  if (!size || *size >= plain.size()) return {Compression::kNone, plain};
  return {compression, state_->out.view().first(*size)};
}

struct Decompressor::State {
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd;  // both made on first use
  std::optional<Inflater> inflater;

  bool run_zstd(ByteView payload, MutableByteView plain) {
    if (!zstd) zstd.reset(ZSTD_createDCtx());
    if (!zstd) out_of_memory();
    // Exactly one frame: the decoder by itself would also take several, or frames to skip.
    if (ZSTD_findFrameCompressedSize(payload.data(), payload.size()) != payload.size()) {
      return false;
    }
    return ZSTD_decompressDCtx(zstd.get(), plain.data(), plain.size(), payload.data(),
                               payload.size()) == plain.size();
  }

  bool run(Compression compression, ByteView payload, MutableByteView plain) {
    switch (compression) {
      case Compression::kNone:
        if (payload.size() != plain.size()) return false;
        if (!plain.empty()) std::memmove(plain.data(), payload.data(), plain.size());
        return true;
      case Compression::kZstd:
        return run_zstd(payload, plain);
      case Compression::kLz4:
        return LZ4_decompress_safe(chars(payload), chars(plain), static_cast<int>(payload.size()),
                                   static_cast<int>(plain.size())) ==
               static_cast<int>(plain.size());
      case Compression::kGzip:
        if (!inflater) inflater.emplace();
        return inflater->run(payload, plain);
    }
    return false;  // a byte from outside that names no compression
  }
};

Decompressor::Decompressor() : state_(std::make_unique<State>()) {}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

void Decompressor::decompress(Compression compression, ByteView payload, MutableByteView plain) {
  // Also keeps every length within the int that lz4 counts in.
  if (plain.size() > kMaxChunkPlainBytes || payload.size() > kMaxChunkPlainBytes) damaged();
  if (compression != Compression::kNone && (payload.empty() || plain.empty())) damaged();
  if (!state_->run(compression, payload, plain)) damaged();
}

}  // namespace holdfast
