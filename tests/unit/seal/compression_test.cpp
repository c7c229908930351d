#include <lz4.h>
#include <zlib.h>
#include <zstd.h>

#include "seal_testing.h"

namespace holdfast {
namespace {

using seal_testing::Content;
using seal_testing::error_kind;

constexpr std::array kAll{Compression::kNone, Compression::kZstd, Compression::kLz4,
                          Compression::kGzip};
constexpr std::array kCompressing{Compression::kZstd, Compression::kLz4, Compression::kGzip};

Bytes noise(std::size_t size) {
  Bytes out(size);
  fill_random(out);
  return out;
}

TEST(Compression, RoundTripsRandomSizesAndContents) {
  const std::uint64_t seed = seal_testing::random_seed();
  SCOPED_TRACE(testing::Message() << "HOLDFAST_TEST_SEED=" << seed);
  Content content(seed);
  Decompressor decompressor;  // one for all: nothing may leak from one chunk into the next
  for (const Compression compression : kAll) {
    for (const int level : {1, 3, 9}) {
      Compressor compressor({.compression = compression, .level = level});
      for (int round = 0; round < 12; ++round) {
        const std::size_t size = round < 3
                                     ? static_cast<std::size_t>(round)
                                     : content.below(std::size_t{1} << (6 + 2 * content.below(8)));
        const Bytes plain = content.bytes(size);
        const auto [used, payload] = compressor.compress(plain);
        Bytes back(plain.size(), std::byte{0xee});
        decompressor.decompress(used, payload, back);
        ASSERT_EQ(back, plain) << static_cast<int>(compression) << " size " << size;
      }
    }
  }
}

TEST(Compression, MakesTextSmallerAndNeverKeepsWhatIsNotSmaller) {
  const Bytes text(100'000, std::byte{'x'});
  const Bytes random = noise(100'000);
  for (const Compression compression : kCompressing) {
    Compressor compressor({.compression = compression, .level = 1});
    const auto small = compressor.compress(text);
    EXPECT_EQ(small.compression, compression);
    EXPECT_LT(small.payload.size(), 2'000U);
    const auto kept = compressor.compress(random);
    EXPECT_EQ(kept.compression, Compression::kNone);
    EXPECT_EQ(kept.payload.data(), random.data()) << "it was copied";
    EXPECT_EQ(kept.payload.size(), random.size());
  }
}

TEST(Compression, TakesTheLargestChunkAndNoLarger) {
  Bytes plain(kMaxChunkPlainBytes);
  for (const Compression compression : kCompressing) {
    Compressor compressor({.compression = compression, .level = 1});
    const auto [used, payload] = compressor.compress(plain);
    Bytes back(plain.size(), std::byte{1});
    Decompressor().decompress(used, payload, back);
    EXPECT_EQ(back, plain);
  }
  plain.push_back(std::byte{0});
  EXPECT_EQ(error_kind([&] { Compressor({}).compress(plain); }), ErrorKind::kBug);
}

TEST(Compression, LevelsOutsideTheRangeAreConfigurationErrors) {
  for (const int level : {0, 20, -51}) {
    EXPECT_EQ(error_kind([&] { Compressor({Compression::kZstd, level}); }),
              ErrorKind::kConfiguration);
  }
  for (const int level : {0, 10, -1}) {
    EXPECT_EQ(error_kind([&] { Compressor({Compression::kGzip, level}); }),
              ErrorKind::kConfiguration);
  }
  Compressor fast({Compression::kZstd, -50});
  Compressor slow({Compression::kZstd, 19});
  const Bytes text(10'000, std::byte{'x'});
  EXPECT_LT(slow.compress(text).payload.size(), text.size());
  EXPECT_LT(fast.compress(text).payload.size(), text.size());
}

TEST(Decompression, WantsExactlyThePlainLength) {
  const Bytes plain(5'000, std::byte{'x'});
  for (const Compression compression : kAll) {
    Compressor compressor({.compression = compression, .level = 1});
    const Bytes payload = to_bytes(compressor.compress(plain).payload);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, plain.size() - 1,
                                   plain.size() + 1, 2 * plain.size(), kMaxChunkPlainBytes + 1}) {
      Bytes out(size);
      EXPECT_EQ(error_kind([&] { Decompressor().decompress(compression, payload, out); }),
                ErrorKind::kDamage)
          << static_cast<int>(compression) << " " << size;
    }
  }
}

TEST(Decompression, TruncatedExtendedOrDoubledPayloadIsDamage) {
  const Bytes plain(5'000, std::byte{'x'});
  for (const Compression compression : kCompressing) {
    Compressor compressor({.compression = compression, .level = 1});
    const Bytes payload = to_bytes(compressor.compress(plain).payload);
    Bytes shorter(payload.begin(), payload.end() - 1);
    Bytes longer = payload;
    longer.push_back(std::byte{0});
    Bytes doubled = payload;
    doubled.insert(doubled.end(), payload.begin(), payload.end());
    for (const Bytes& bad : {shorter, longer, doubled, Bytes{}}) {
      Bytes out(plain.size());
      EXPECT_EQ(error_kind([&] { Decompressor().decompress(compression, bad, out); }),
                ErrorKind::kDamage)
          << static_cast<int>(compression) << " " << bad.size();
    }
  }
}

TEST(Decompression, SeveralZstdFramesInAPayloadAreDamage) {
  Compressor compressor({});
  const Bytes half(2'500, std::byte{'x'});
  const Bytes frame = to_bytes(compressor.compress(half).payload);
  Bytes two = frame;
  two.insert(two.end(), frame.begin(), frame.end());
  Bytes out(2 * half.size());
  EXPECT_EQ(error_kind([&] { Decompressor().decompress(Compression::kZstd, two, out); }),
            ErrorKind::kDamage);
}

TEST(Decompression, UnknownCompressionIsDamage) {
  Bytes payload(10), out(20);
  EXPECT_EQ(
      error_kind([&] { Decompressor().decompress(static_cast<Compression>(4), payload, out); }),
      ErrorKind::kDamage);
}

// The format says what each payload is; the libraries' plain entry points read it back.
TEST(Compression, PayloadsAreWhatTheFormatSays) {
  const Bytes plain(5'000, std::byte{'x'});
  Bytes out(plain.size());
  const auto payload_of = [&](Compression compression) {
    Compressor compressor({.compression = compression, .level = 1});
    return to_bytes(compressor.compress(plain).payload);
  };
  const Bytes zstd = payload_of(Compression::kZstd);
  EXPECT_EQ(ZSTD_getFrameContentSize(zstd.data(), zstd.size()), ZSTD_CONTENTSIZE_UNKNOWN);
  EXPECT_EQ(ZSTD_decompress(out.data(), out.size(), zstd.data(), zstd.size()), plain.size());
  EXPECT_EQ(out, plain);

  const Bytes lz4 = payload_of(Compression::kLz4);
  EXPECT_EQ(LZ4_decompress_safe(reinterpret_cast<const char*>(lz4.data()),
                                reinterpret_cast<char*>(out.data()), static_cast<int>(lz4.size()),
                                static_cast<int>(out.size())),
            static_cast<int>(plain.size()));

  const Bytes gzip = payload_of(Compression::kGzip);
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, -15), Z_OK);
  Bytes input = gzip;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  EXPECT_EQ(stream.total_out, plain.size());
  inflateEnd(&stream);
}

}  // namespace
}  // namespace holdfast
