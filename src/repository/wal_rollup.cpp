#include "repository/wal_rollup.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/parallel.h"
#include "repository/catalogue.h"
#include "repository/wal_border.h"
#include "repository/wal_object.h"

namespace holdfast {
namespace {

// Hash, flag and the length of a summary.
constexpr std::size_t kRollUpEntryBytes = sizeof(Checksum128) + 2;

std::uint64_t segments_per_log(WalSegmentSize size) {
  return (std::uint64_t{1} << 32U) / size.bytes;
}

std::uint64_t group_size(WalSegmentSize size) {
  return std::min(kRollUpSegments, segments_per_log(size));
}

std::string rollups_prefix(const WalPlace& place, TimelineId timeline) {
  return fmt::format("{}rollup/{:08X}/", names::history_prefix(place.cluster, place.history),
                     timeline.value);
}

[[noreturn]] void malformed(const std::string& object, std::string_view why) {
  throw Error(ErrorKind::kDamage, fmt::format("malformed roll-up: {}", why), {.object = object});
}

struct Group {
  TimelineId timeline;
  SegmentRange segments;
};

// Whole groups that are stored, newest first.
std::vector<Group> whole_groups(const WalListing& listing) {
  const std::uint64_t each = group_size(listing.segment_size);
  std::vector<Group> groups;
  for (const TimelineListing& timeline : listing.timelines) {
    for (const WalRun& run : timeline.runs) {
      for (std::uint64_t n = run.first; n <= run.last; n = n / each * each + each) {
        const SegmentRange group = rollup_group(n, listing.segment_size);
        if (group.first >= run.first && group.last <= run.last) {
          groups.push_back({timeline.timeline, group});
        }
      }
    }
  }
  std::ranges::reverse(groups);
  return groups;
}

std::set<std::string> stored_rollups(const Repository& repository, const WalListing& listing,
                                     const std::stop_token& stop) {
  std::set<std::string> stored;
  for (const TimelineListing& timeline : listing.timelines) {
    for_each_object(repository.store(), rollups_prefix(listing.place, timeline.timeline), stop,
                    [&](const ObjectInfo& object) { stored.insert(object.name); });
  }
  return stored;
}

bool is_stored(const WalListing& listing, SegmentName segment) {
  const TimelineListing* timeline = find_timeline(listing, segment.timeline);
  if (timeline == nullptr) return false;
  const auto run = std::ranges::lower_bound(timeline->runs, segment.number, {}, &WalRun::last);
  return run != timeline->runs.end() && run->first <= segment.number;
}

struct ReadSegment {
  Checksum128 content{};
  std::optional<SegmentSummary> summary;
  std::optional<SegmentIndex> index;  // absent also where it was too large to be kept
};

ReadSegment read_segment(const Repository& repository, const std::string& object,
                         const std::stop_token& stop) {
  const auto head = read_wal_head(repository, object, stop);
  if (!head) malformed(object, "a segment that was listed is not there");
  ReadSegment read{.content = head->identity.content, .summary = head->summary, .index = {}};
  if (!read.summary) return read;
  read.index = read_wal_index(repository, object, stop);
  if (read.index) {  // what is large, and of no use here
    read.index->blocks = {};
    read.index->file_events = {};
  }
  return read;
}

std::vector<ReadSegment> read_group(const Repository& repository, const WalListing& listing,
                                    const Group& group, const std::stop_token& stop) {
  std::vector<ReadSegment> read(group.segments.count());
  parallel_for(read.size(), repository.store().capabilities().parallel_requests, stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 const SegmentName segment{group.timeline, group.segments.first + i};
                 read[i] = read_segment(
                     repository, names::wal_segment(listing.place, segment, listing.segment_size),
                     inner);
               });
  return read;
}

// The index in front of the group, so that a record across that border is known, too.
std::optional<SegmentIndex> index_before(const Repository& repository, const WalListing& listing,
                                         const Group& group, const std::stop_token& stop) {
  if (group.segments.first <= 1) return std::nullopt;
  const SegmentName before{group.timeline, group.segments.first - 1};
  if (!is_stored(listing, before)) return std::nullopt;
  return read_wal_index(repository, names::wal_segment(listing.place, before, listing.segment_size),
                        stop);
}

bool has_record(const WalBorder& border) {
  return border.record.summary.coverage != WalCoverage::kNoSegment;
}

WalRollUp make_rollup(const Repository& repository, const WalListing& listing, const Group& group,
                      const std::stop_token& stop) {
  WalBorders borders;
  if (const auto before = index_before(repository, listing, group, stop)) borders.add(*before);
  WalRollUp rollup{.first = group.segments.first, .segments = {}};
  for (ReadSegment& segment : read_group(repository, listing, group, stop)) {
    RolledUpSegment& rolled =
        rollup.segments.emplace_back(RolledUpSegment{segment.content, {std::nullopt, false}});
    if (!segment.index) {
      rolled.facts.summary = std::move(segment.summary);
      borders = {};
      continue;
    }
    const WalBorder border = borders.add(*segment.index);
    if (has_record(border)) add_border_record(*segment.index, border.record);
    rolled.facts.summary = std::move(segment.index->summary);
    rolled.facts.joined =
        border.state == WalBorder::State::kProven || border.state == WalBorder::State::kOpen;
  }
  return rollup;
}

}  // namespace

SegmentRange rollup_group(std::uint64_t number, WalSegmentSize size) {
  const std::uint64_t each = group_size(size);
  const std::uint64_t first = number / each * each;
  return {std::max<std::uint64_t>(first, 1), first + each - 1};
}

namespace names {

std::string rollup(const WalPlace& place, SegmentName any_of_group, WalSegmentSize size) {
  const std::uint64_t per_log = segments_per_log(size);
  return fmt::format("{}{:08X}-{:04}", rollups_prefix(place, any_of_group.timeline),
                     any_of_group.number / per_log,
                     any_of_group.number % per_log / group_size(size) + 1);
}

}  // namespace names

Bytes encode_rollup(const std::string& object, WalSegmentSize size, const WalRollUp& rollup) {
  Encoder out;
  out.text(object);
  out.varint(size.bytes);
  out.varint(rollup.first);
  out.varint(rollup.segments.size());
  for (const RolledUpSegment& segment : rollup.segments) {
    out.raw(segment.content);
    out.u8(segment.facts.joined ? 1 : 0);
    const auto& summary = segment.facts.summary;
    out.text(summary ? as_text(encode_summary(*summary)) : std::string_view{});
  }
  return out.take();
}

WalRollUp decode_rollup(ByteView plain, const std::string& object, WalSegmentSize size) {
  try {
    Decoder in(plain);
    if (in.text() != object) malformed(object, "it was written under another name");
    if (in.varint() != size.bytes) malformed(object, "it is of another segment size");
    WalRollUp rollup{.first = in.varint(), .segments = {}};
    const std::size_t count = in.count(kRollUpEntryBytes);
    const SegmentRange group = rollup_group(rollup.first, size);
    if (rollup.first != group.first || count != group.count()) {
      malformed(object, "it is not of one group");
    }
    for (std::size_t i = 0; i < count; ++i) {
      RolledUpSegment& segment = rollup.segments.emplace_back();
      std::ranges::copy(in.raw(segment.content.size()), segment.content.begin());
      segment.facts.joined = in.u8() != 0;
      const std::string_view summary = in.text();
      if (summary.empty()) continue;
      segment.facts.summary = decode_summary(as_bytes(summary));
      const Lsn start{(rollup.first + i) * size.bytes};
      if (segment.facts.summary->segment_start != start) malformed(object, "a summary's place");
    }
    if (!in.done()) malformed(object, "bytes behind its end");
    return rollup;
  } catch (Error& error) {
    throw error.about(object);
  }
}

std::optional<WalRollUp> read_rollup(const Repository& repository, const WalPlace& place,
                                     SegmentName any_of_group, WalSegmentSize size,
                                     const std::stop_token& stop) {
  const std::string object = names::rollup(place, any_of_group, size);
  auto bytes = repository.store().get(object, stop);
  if (!bytes) return std::nullopt;
  const Bytes plain =
      open_record(ContainerKind::kWalRollUp, repository.keys(), std::move(*bytes), object);
  WalRollUp rollup = decode_rollup(plain, object, size);
  if (rollup.first != rollup_group(any_of_group.number, size).first) {
    malformed(object, "it is of another group");
  }
  return rollup;
}

std::size_t write_due_rollups(const Repository& repository, const WalListing& listing,
                              std::size_t limit, const std::stop_token& stop) {
  const std::set<std::string> stored = stored_rollups(repository, listing, stop);
  std::size_t written = 0;
  for (const Group& group : whole_groups(listing)) {
    if (written == limit) break;
    const std::string object =
        names::rollup(listing.place, {group.timeline, group.segments.first}, listing.segment_size);
    if (stored.contains(object)) continue;
    try {
      const Bytes plain = encode_rollup(object, listing.segment_size,
                                        make_rollup(repository, listing, group, stop));
      // Another process may write it at the same moment, and the same.
      repository.store().put(object,
                             seal_record(ContainerKind::kWalRollUp, repository.keys(),
                                         repository.keys().cipher, plain),
                             {.object_class = ObjectClass::kCatalogue}, stop);
      ++written;
    } catch (const Error& error) {
      if (!condemns_one_object(error.kind())) throw;
    }
  }
  return written;
}

}  // namespace holdfast
