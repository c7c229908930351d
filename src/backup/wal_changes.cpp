#include "backup/wal_changes.h"

#include <fmt/format.h>

#include "core/parallel.h"
#include "repository/catalogue.h"
#include "repository/wal_border.h"
#include "repository/wal_summaries.h"
#include "system/files.h"

namespace holdfast {
namespace {

// Indexes that are read at once; one is a few MiB at the most.
constexpr std::size_t kSegmentsAtOnce = 16;

class ChangeReader {
 public:
  ChangeReader(const Repository& repository, const WalStretch& stretch, ChangedBlocks& into)
      : repository_(repository),
        stretch_(stretch),
        summaries_(repository, stretch.path),
        into_(into),
        size_(stretch.path.segment_size()) {}

  std::string read(const std::stop_token& stop);

 private:
  std::uint64_t first_segment() const { return stretch_.begin.value / size_.bytes; }
  std::uint64_t last_segment() const { return (stretch_.end.value - 1) / size_.bytes; }
  std::string name_of(std::uint64_t number) const {
    return to_string(SegmentName{timeline_of_segment(stretch_.path, number), number}, size_);
  }
  std::optional<SegmentIndex> index_of(std::uint64_t number, const std::stop_token& stop) const;
  std::optional<SegmentIndex> index_local(std::uint64_t number) const;
  std::string take(std::uint64_t number, const SegmentIndex& index);
  std::string take_crossing(std::uint64_t number, const SegmentIndex& record);
  std::string why_incomplete(std::uint64_t number, const SegmentSummary& summary,
                             bool switched) const;

  const Repository& repository_;
  const WalStretch& stretch_;
  const SummaryReader summaries_;
  ChangedBlocks& into_;
  const WalSegmentSize size_;
  WalBorders borders_;
};

// The archive is asked first: what it has cannot be recycled meanwhile.
std::optional<SegmentIndex> ChangeReader::index_of(std::uint64_t number,
                                                   const std::stop_token& stop) const {
  if (find_segment(stretch_.path, number)) {
    try {
      return summaries_.read_index(number, stop);
    } catch (const Error& error) {
      if (!condemns_one_object(error.kind())) throw;
      return std::nullopt;
    }
  }
  return index_local(number);
}

std::optional<SegmentIndex> ChangeReader::index_local(std::uint64_t number) const {
  const SegmentName name{timeline_of_segment(stretch_.path, number), number};
  const auto file = stretch_.wal_directory / to_string(name, size_);
  const auto content = read_file(file, size_.bytes);
  if (!content) return std::nullopt;
  return index_segment(in_memory(as_bytes(*content)), name, size_);
}

// `switched`: a record that began in the segment before ended the use of this one.
std::string ChangeReader::why_incomplete(std::uint64_t number, const SegmentSummary& summary,
                                         bool switched) const {
  if (!summary.minimal_wal.empty()) {
    return fmt::format("wal_level was minimal in {}", name_of(number));
  }
  if (summary.coverage == WalCoverage::kComplete) return {};
  // The last segment is still being written: it need not be complete, only reach far enough.
  const bool reaches = number == last_segment() && summary.end.value >= stretch_.end.value;
  if (summary.coverage == WalCoverage::kEndsEarly && (switched || reaches)) return {};
  return fmt::format("the index of {} does not prove everything: {}", name_of(number),
                     summary.coverage_reason);
}

std::string ChangeReader::take_crossing(std::uint64_t number, const SegmentIndex& record) {
  if (record.summary.coverage == WalCoverage::kNoSegment) return {};  // none ends there
  if (record.summary.coverage != WalCoverage::kComplete || !record.summary.minimal_wal.empty()) {
    return fmt::format("the record across the border in front of {} is not understood",
                       name_of(number));
  }
  into_.add(record.blocks);
  into_.add(record.file_events);
  return {};
}

std::string ChangeReader::take(std::uint64_t number, const SegmentIndex& index) {
  const WalBorder border = borders_.add(index);
  if (border.state == WalBorder::State::kUnproven) {
    return fmt::format("the border in front of {} is not proven: {}", name_of(number),
                       border.reason);
  }
  if (border.state == WalBorder::State::kFirst && number != first_segment()) {
    return fmt::format("nothing before {} says where its first record begins", name_of(number));
  }
  if (std::string why = take_crossing(number, border.record); !why.empty()) return why;
  const bool switched = border.record.summary.ends_in_switch;
  if (std::string why = why_incomplete(number, index.summary, switched); !why.empty()) return why;
  into_.add(index.blocks);
  into_.add(index.file_events);
  return {};
}

std::string ChangeReader::read(const std::stop_token& stop) {
  const std::uint64_t end = last_segment() + 1;
  for (std::uint64_t first = first_segment(); first < end; first += kSegmentsAtOnce) {
    std::vector<std::optional<SegmentIndex>> batch(
        std::min<std::uint64_t>(kSegmentsAtOnce, end - first));
    parallel_for(batch.size(), stretch_.threads, stop,
                 [&](std::size_t i, const std::stop_token& inner) {
                   batch[i] = index_of(first + i, inner);
                 });
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto& index = batch[i];
      if (!index) return fmt::format("WAL segment {} or its index is missing", name_of(first + i));
      if (std::string why = take(first + i, *index); !why.empty()) return why;
    }
  }
  // A record that begins before `end` ends there at the latest: `end` is where one begins.
  if (borders_.open_record().valid() && borders_.open_record().value < stretch_.end.value) {
    return "the last record before the backup's start is not complete";
  }
  return {};
}

}  // namespace

std::string read_wal_changes(const Repository& repository, const WalStretch& stretch,
                             ChangedBlocks& into, const std::stop_token& stop) {
  ChangedBlocks changes(into);
  std::string why_not = ChangeReader(repository, stretch, changes).read(stop);
  if (why_not.empty()) into = std::move(changes);
  return why_not;
}

}  // namespace holdfast
