// Names of objects, as a listing tells them: what is understood is exactly what would be written.

#include "core/error.h"
#include "fuzz_target.h"
#include "repository/names.h"
#include "repository/wal_file.h"

namespace holdfast::fuzz {
namespace {

const BackupName kBackup{"demo", {1, 77}, {"20260101T000000Z-0001"}};
constexpr auto kSeries = {names::SeriesKind::kTombstone, names::SeriesKind::kHold};

void run(ByteView input) {
  const std::string_view text = as_text(input);
  for (const names::SeriesKind kind : kSeries) {
    if (const auto name = names::parse_series_record("demo", kBackup.history, kind, text)) {
      HF_INVARIANT(names::series_record(name->backup, kind, name->number) == text);
    }
  }
  if (const auto name = names::parse_intent("demo", kBackup.history, text)) {
    HF_INVARIANT(names::intent(*name) == text);
  }
  if (const auto number = names::parse_proof(kBackup, text)) {
    HF_INVARIANT(names::proof(kBackup, *number) == text);
  }
  if (const auto number = names::parse_key_generation(text)) {
    HF_INVARIANT(names::key_generation(*number) == text);
  }
  if (const auto history = parse_history_name(text)) HF_INVARIANT(to_string(*history) == text);
  if (const auto file = parse_wal_file_name(text)) HF_INVARIANT(file->text == text);
  names::parse_wal_segment(text, WalSegmentSize{16U << 20U});
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  const auto add = [&](std::string_view text) { all.push_back(to_bytes(as_bytes(text))); };
  for (const names::SeriesKind kind : kSeries) add(names::series_record(kBackup, kind, 7));
  add(names::intent({kBackup, {"demo", {2, 78}, {"20260102T000000Z-00ff"}}}));
  add(names::proof(kBackup, 12345));
  add(names::key_generation(3));
  add(to_string(kBackup.history));
  for (const char* file : {"000000010000000A000000FF", "000000010000000A000000FF.partial",
                           "000000010000000A000000FF.00000028.backup", "0000000A.history"}) {
    add(file);
  }
  return all;
}

HOLDFAST_FUZZ_TARGET(object_names, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
