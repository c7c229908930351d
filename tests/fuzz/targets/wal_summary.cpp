// WAL summaries of PostgreSQL, and their names. Mutations hardly ever leave a checksum right, so it
// is put behind the input.

#include "core/error.h"
#include "fuzz_target.h"
#include "postgres/crc32c.h"
#include "postgres/wal_summary_file.h"

namespace holdfast::fuzz {
namespace {

void check_name(std::string_view text) {
  const auto name = parse_wal_summary_name(text);
  if (!name) return;
  HF_INVARIANT(name->start < name->end && to_string(*name) == text);
}

// What the users of runs rely on: they ascend, do not touch, and stay within the numbers of blocks.
void check_runs(const std::vector<BlockRun>& runs) {
  std::uint64_t free_from = 0;
  for (const BlockRun& run : runs) {
    HF_INVARIANT(run.count > 0 && run.first >= free_from);
    free_from = std::uint64_t{run.first} + run.count + 1;
    HF_INVARIANT(free_from <= std::uint64_t{1} << 32U);
  }
}

void run(ByteView input) {
  check_name(as_text(input));
  Bytes content = to_bytes(input);
  Encoder crc;
  crc.u32(crc32c(content));
  content.insert(content.end(), crc.view().begin(), crc.view().end());
  for (const SummarizedRelation& relation : parse_wal_summary(content)) {
    HF_INVARIANT(relation.blocks.fork <= kInitFork);
    check_runs(relation.blocks.runs);
  }
  parse_wal_summary(input);  // as it is
}

void add_relation(Encoder& out, std::uint32_t number,
                  const std::vector<std::vector<std::uint16_t>>& chunks) {
  const auto count = static_cast<std::uint32_t>(chunks.size());
  for (const std::uint32_t value : {1663U, 5U, number, 0U, 0xFFFFFFFFU, count}) out.u32(value);
  for (const auto& chunk : chunks) out.u16(static_cast<std::uint16_t>(chunk.size()));
  for (const auto& chunk : chunks) {
    for (const std::uint16_t word : chunk) out.u16(word);
  }
}

std::vector<Bytes> seeds() {
  Encoder lists, bitmap;
  lists.u32(0x652b137b);
  add_relation(lists, 16384, {{3, 9, 65535}, {}, {0, 1}});
  add_relation(lists, 16385, {});
  for (int i = 0; i < 6; ++i) lists.u32(0);
  bitmap.u32(0x652b137b);
  add_relation(bitmap, 16384, {std::vector<std::uint16_t>(4096, 0x8001), {0}});
  for (int i = 0; i < 6; ++i) bitmap.u32(0);
  return {lists.take(), bitmap.take(),
          to_bytes(as_bytes("0000000A00000000015FD8A00000000001600028.summary"))};
}

HOLDFAST_FUZZ_TARGET(wal_summary, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
