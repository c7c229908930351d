#include "postgres/wal_summary_file.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/error.h"
#include "postgres/crc32c.h"

namespace holdfast {
namespace {

constexpr std::uint32_t kSummaryMagic = 0x652b137b;
constexpr std::string_view kSummarySuffix = ".summary";
constexpr std::uint32_t kNoLimit = 0xFFFFFFFF;
// Blocks are kept in chunks: a list of offsets, or, when it is as long as that, a bitmap.
constexpr std::uint32_t kBlocksPerChunk = 1U << 16U;
constexpr std::uint32_t kBitsPerWord = 16;
constexpr std::uint32_t kMaxWords = kBlocksPerChunk / kBitsPerWord;
constexpr std::uint32_t kMaxChunks = (1U << 31U) / kBlocksPerChunk * 2;  // of a whole relation

[[noreturn]] void malformed_summary(const char* why) {
  throw Error(ErrorKind::kDamage, fmt::format("malformed WAL summary: {}", why));
}

std::optional<std::uint64_t> hexadecimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  const bool upper = std::ranges::none_of(text, [](char c) { return c >= 'a' && c <= 'f'; });
  if (error != std::errc{} || end != text.data() + text.size() || !upper) return std::nullopt;
  return value;
}

void append(std::vector<BlockRun>& runs, std::uint32_t block) {
  if (!runs.empty() && runs.back().first + runs.back().count == block) {
    ++runs.back().count;
  } else {
    runs.push_back({block, 1});
  }
}

void read_chunk(Decoder& in, std::uint32_t first, std::uint32_t words,
                std::vector<BlockRun>& runs) {
  if (words == kMaxWords) {
    for (std::uint32_t word = 0; word < words; ++word) {
      const std::uint32_t bits = in.u16();
      for (std::uint32_t bit = 0; bit < kBitsPerWord; ++bit) {
        if ((bits >> bit & 1U) != 0) append(runs, first + word * kBitsPerWord + bit);
      }
    }
    return;
  }
  std::vector<std::uint32_t> offsets(words);
  for (std::uint32_t& offset : offsets) offset = in.u16();
  std::ranges::sort(offsets);
  const auto twice = std::ranges::unique(offsets);
  offsets.erase(twice.begin(), twice.end());
  for (const std::uint32_t offset : offsets) append(runs, first + offset);
}

}  // namespace

std::optional<WalSummaryName> parse_wal_summary_name(std::string_view name) {
  if (name.size() != 40 + kSummarySuffix.size() || !name.ends_with(kSummarySuffix)) {
    return std::nullopt;
  }
  const auto timeline = hexadecimal(name.substr(0, 8));
  const auto start = hexadecimal(name.substr(8, 16));
  const auto end = hexadecimal(name.substr(24, 16));
  if (!timeline || !start || !end || *start >= *end) return std::nullopt;
  return WalSummaryName{{static_cast<std::uint32_t>(*timeline)}, {*start}, {*end}};
}

std::string to_string(const WalSummaryName& name) {
  return fmt::format("{:08X}{:016X}{:016X}{}", name.timeline.value, name.start.value,
                     name.end.value, kSummarySuffix);
}

std::vector<SummarizedRelation> parse_wal_summary(ByteView content) {
  if (content.size() < 8) malformed_summary("it is too short");
  const ByteView body = content.first(content.size() - 4);
  if (crc32c(body) != load_le<std::uint32_t>(content.last(4).data())) {
    malformed_summary("its checksum is wrong");
  }
  Decoder in(body);
  if (in.u32() != kSummaryMagic) malformed_summary("it is of an unknown format");
  std::vector<SummarizedRelation> relations;
  for (;;) {
    SummarizedRelation relation;
    relation.blocks.file = {in.u32(), in.u32(), in.u32()};
    const std::uint32_t fork = in.u32();
    const std::uint32_t limit = in.u32();
    const std::uint32_t chunks = in.u32();
    const bool is_end =
        relation.blocks.file == RelationFile{} && fork == 0 && limit == 0 && chunks == 0;
    if (is_end) break;
    if (fork > kInitFork || chunks > kMaxChunks) malformed_summary("a relation makes no sense");
    relation.blocks.fork = static_cast<std::uint8_t>(fork);
    if (limit != kNoLimit) relation.cut_to = limit;
    std::vector<std::uint32_t> words(chunks);
    for (std::uint32_t& count : words) {
      count = in.u16();
      if (count > kMaxWords) malformed_summary("a relation makes no sense");
    }
    for (std::uint32_t i = 0; i < chunks; ++i) {
      read_chunk(in, i * kBlocksPerChunk, words[i], relation.blocks.runs);
    }
    relations.push_back(std::move(relation));
  }
  if (!in.done()) malformed_summary("bytes are left over");
  return relations;
}

}  // namespace holdfast
