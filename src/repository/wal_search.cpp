#include "repository/wal_search.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/error.h"
#include "postgres/timeline_history.h"
#include "repository/catalogue.h"
#include "repository/wal_object.h"

namespace holdfast {
namespace {

WalPlace place_of(const WalLine& line, const LineStep& step) {
  return {line.cluster, step.history};
}

std::optional<SegmentName> segment_in(const WalLine& line, const WalFileName& file) {
  return parse_segment_name(file.segment, line.segment_size);
}

bool may_hold(const WalLine& line, const LineStep& step, const WalFileName& file) {
  if (file.kind == WalFileKind::kTimelineHistory) return step.has_timeline(file.timeline);
  const auto segment = segment_in(line, file);
  return segment && step.has(segment->timeline, start_of(*segment, line.segment_size));
}

// The first stored segment behind `segment` on its timeline.
std::optional<std::string> later_segment(const Repository& repository, const WalLine& line,
                                         const LineStep& step, SegmentName segment,
                                         const std::stop_token& stop) {
  const WalPlace place = place_of(line, step);
  ListRequest request{.prefix = names::wal_timeline_prefix(place, segment.timeline),
                      .after = names::wal_segment(place, segment, line.segment_size)};
  for (;;) {
    const ListPage page = repository.store().list(request, stop);
    for (const ObjectInfo& object : page.objects) {
      const auto later = names::parse_wal_segment(object.name, line.segment_size);
      if (!later || *later <= segment) continue;
      if (step.has(later->timeline, start_of(*later, line.segment_size))) return object.name;
    }
    if (!page.next) return std::nullopt;
    request.after = *page.next;
  }
}

// Whether `timeline` left the segment's timeline in a later segment.
bool left_behind(const Repository& repository, const WalLine& line, TimelineId timeline,
                 SegmentName segment, const std::stop_token& stop) {
  const auto text = read_timeline_history(repository, line, timeline, stop);
  if (!text) return false;
  const TimelineHistory history =
      parse_timeline_history(timeline, *text, history_file_of(timeline).text);
  const auto range = range_of(history, segment.timeline);
  return range && range->end && !range->empty() &&
         segment_of(segment.timeline, *range->end, line.segment_size).number > segment.number;
}

std::optional<std::string> behind_segment(const Repository& repository, const WalLine& line,
                                          SegmentName segment, const std::stop_token& stop) {
  const Lsn start = start_of(segment, line.segment_size);
  std::set<TimelineId> newer;
  for (const LineStep& step : line.steps) {
    if (step.has(segment.timeline, start)) {
      if (auto found = later_segment(repository, line, step, segment, stop)) return found;
    }
    for (const TimelineId timeline : list_timelines(repository, place_of(line, step), stop)) {
      if (timeline > segment.timeline && step.has_timeline(timeline)) newer.insert(timeline);
    }
  }
  for (const TimelineId timeline : newer) {
    if (left_behind(repository, line, timeline, segment, stop)) {
      return history_file_of(timeline).text;
    }
  }
  return std::nullopt;
}

bool has_wal_of(const Repository& repository, const WalLine& line, TimelineId timeline,
                const std::stop_token& stop) {
  return std::ranges::any_of(line.steps, [&](const LineStep& step) {
    const std::string prefix = names::wal_timeline_prefix(place_of(line, step), timeline);
    return !repository.store().list({.prefix = prefix, .limit = 1}, stop).objects.empty();
  });
}

// A timeline has not ended where a backup of it goes on: an ordinary one is committed only when its
// WAL is stored.
std::optional<std::string> behind_in_a_backup(const Repository& repository, const WalLine& line,
                                              SegmentName segment, const std::stop_token& stop) {
  const Lsn start = start_of(segment, line.segment_size);
  for (const CatalogueEntry& entry : list_backups(repository, line.cluster, stop)) {
    const BackupInfo& info = entry.outcome.info;
    const bool in_line = std::ranges::any_of(line.steps, [&](const LineStep& step) {
      return step.history == entry.name.history && step.has(segment.timeline, start);
    });
    if (entry.state == BackupState::kCommitted && in_line && !info.standalone && !info.recovered &&
        info.timeline == segment.timeline && info.stop_lsn > start) {
      return names::outcome(entry.name);
    }
  }
  return std::nullopt;
}

std::optional<std::string> behind_history(const Repository& repository, const WalLine& line,
                                          TimelineId timeline, const std::stop_token& stop) {
  for (const LineStep& step : line.steps) {
    const WalPlace place = place_of(line, step);
    for (const TimelineId stored : list_timelines(repository, place, stop)) {
      if (stored >= timeline && step.has_timeline(stored)) {
        return names::wal_timeline_prefix(place, stored);
      }
    }
  }
  return std::nullopt;
}

}  // namespace

WalLine wal_line(const std::string& cluster, const std::vector<HistoryRecord>& histories,
                 const HistoryName& history) {
  WalLine line{.cluster = cluster, .steps = line_of(histories, history)};
  const auto found = std::ranges::find(histories, history, &HistoryRecord::name);
  if (line.steps.empty() || found == histories.end()) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("the cluster has no history {}", to_string(history)),
                {.object = cluster, .hint = "Is this the right repository and cluster name?"});
  }
  line.segment_size = found->wal_segment_size;
  return line;
}

std::vector<WalCandidate> find_candidates(const Repository& repository, const WalLine& line,
                                          const WalFileName& file, const std::stop_token& stop) {
  const bool hashed = file.kind == WalFileKind::kPartial || file.kind == WalFileKind::kBackupLabel;
  std::vector<WalCandidate> candidates;
  for (const LineStep& step : line.steps) {
    if (!may_hold(line, step, file)) continue;
    const WalPlace place = place_of(line, step);
    const std::string object = names::wal_object(place, file, {});
    if (!hashed) {
      candidates.push_back({place, object});
      continue;
    }
    const std::string prefix = object.substr(0, object.rfind('-') + 1);
    for_each_object(repository.store(), prefix, stop, [&](const ObjectInfo& found) {
      if (found.name.find('/', prefix.size()) == std::string::npos) {
        candidates.push_back({place, found.name});
      }
    });
  }
  return candidates;
}

std::optional<std::string> stored_behind(const Repository& repository, const StoredBehind& asked,
                                         const std::stop_token& stop) {
  const auto& [line, file, is_standby] = asked;
  if (file.kind == WalFileKind::kTimelineHistory) {
    if (file.timeline.value == 1) return std::nullopt;  // asked for at a promotion; none has one
    return behind_history(repository, line, file.timeline, stop);
  }
  // Nothing rests on the others being there.
  if (file.kind != WalFileKind::kSegment) return std::nullopt;
  const auto segment = segment_in(line, file);
  if (!segment) return std::nullopt;
  if (auto found = behind_segment(repository, line, *segment, stop)) return found;
  if (is_standby && has_wal_of(repository, line, segment->timeline, stop)) return std::nullopt;
  return behind_in_a_backup(repository, line, *segment, stop);
}

std::vector<TimelineId> list_timelines(const Repository& repository, const WalPlace& place,
                                       const std::stop_token& stop) {
  std::vector<TimelineId> timelines;
  ListRequest request{.prefix = names::wal_prefix(place), .group_folders = true};
  for (;;) {
    const ListPage page = repository.store().list(request, stop);
    for (const std::string& folder : page.folders) {
      const std::string_view part = std::string_view(folder).substr(
          request.prefix.size(), folder.size() - request.prefix.size() - 1);
      const auto file = parse_wal_file_name(std::string(part) + ".history");
      if (file) timelines.push_back(file->timeline);
    }
    if (!page.next) return timelines;
    request.after = *page.next;
  }
}

std::optional<std::string> read_timeline_history(const Repository& repository, const WalLine& line,
                                                 TimelineId timeline, const std::stop_token& stop) {
  const WalFileName file = history_file_of(timeline);
  for (const WalCandidate& candidate : find_candidates(repository, line, file, stop)) {
    std::string text;
    const auto found =
        read_wal(repository, candidate.place, file, candidate.object, stop, [&](ByteView piece) {
          if (text.size() + piece.size() > kMaxTimelineHistoryBytes) {
            throw Error(ErrorKind::kDamage, "the timeline history is far too large",
                        {.object = candidate.object});
          }
          text += as_text(piece);
        });
    if (found) return text;
  }
  return std::nullopt;
}

}  // namespace holdfast
