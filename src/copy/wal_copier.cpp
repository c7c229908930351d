#include "copy/wal_copier.h"

#include <algorithm>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/fault_point.h"
#include "core/parallel.h"
#include "postgres/wal_segment.h"
#include "repository/wal_object.h"

namespace holdfast {
namespace {

constexpr std::size_t kSegmentDigits = 24;

[[noreturn]] void refuse_other_content(const std::string& object) {
  throw Error(ErrorKind::kRefused, "the target has other WAL under this name",
              {.object = object,
               .hint = "The two repositories hold different lines of this cluster's WAL. Find out "
                       "which server wrote to which; 'holdfast window' shows what each can "
                       "recover."});
}

std::size_t wal_jobs(const CopyOptions& options) {
  const std::uint64_t fits = options.memory_bytes / (kWalPartBytes * 2 + (kWalPartBytes / 4));
  return std::clamp<std::size_t>(fits, 1, std::max<std::size_t>(options.jobs, 2));
}

bool same_content(const CopySides& sides, const std::string& object, const std::stop_token& stop) {
  const auto here = read_wal_head(sides.from, object, stop);
  const auto there = read_wal_head(sides.to, object, stop);
  return here && there && here->identity.content == there->identity.content &&
         here->identity.bytes == there->identity.bytes;
}

// Where a timeline's file stands: at its segment, or at that which it belongs to; the timeline's
// history behind all. nullopt: no file by itself.
std::optional<std::uint64_t> number_of(const std::string& object, WalSegmentSize size) {
  if (object.find(".part-") != std::string::npos) return std::nullopt;  // goes with its object
  const std::string file = object.substr(object.rfind('/') + 1);
  if (file.size() < kSegmentDigits) return std::numeric_limits<std::uint64_t>::max();
  const auto segment = parse_segment_name(file.substr(0, kSegmentDigits), size);
  return segment ? std::optional(segment->number) : std::nullopt;
}

std::uint64_t count_from(std::uint64_t first, const std::vector<std::uint64_t>& numbers) {
  return static_cast<std::uint64_t>(numbers.end() - std::ranges::lower_bound(numbers, first));
}

// The names of the target from `after` to `last`, both of one prefix.
std::set<std::string> names_until(ObjectStore& store, ListRequest request, const std::string& last,
                                  const std::stop_token& stop) {
  std::set<std::string> found;
  for (;;) {
    const ListPage page = store.list(request, stop);
    for (const ObjectInfo& object : page.objects) {
      if (object.name > last) return found;
      found.insert(object.name);
    }
    if (!page.next) return found;
    request.after = *page.next;
  }
}

}  // namespace

Error lacks_needed_wal(const WalLine& line, const WalFileName& file) {
  return Error(
      ErrorKind::kDamage,
      fmt::format("the backup needs the WAL file {}, which is not in the archive", file.text),
      {.object = names::wal_object({line.cluster, line.steps.front().history}, file, {}),
       .hint = "Such a backup cannot be restored from here. If the file is in another "
               "repository, copy from that one: --from."});
}

void WalCopier::needed(const WalLine& line, const std::stop_token& stop) {
  const auto segments = carried_segments(backup_.timeline, backup_.start_lsn, backup_.stop_lsn,
                                         backup_.wal_segment_size);
  if (backup_.timeline.value > 1) ensure(line, history_file_of(backup_.timeline), stop);
  parallel_for(segments.size(), wal_jobs(options_), stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 ensure(line, wal_file_of(segments[i].name, backup_.wal_segment_size), inner);
               });
}

void WalCopier::ensure(const WalLine& line, const WalFileName& file, const std::stop_token& stop) {
  for (const WalCandidate& candidate : find_candidates(sides_.from, line, file, stop)) {
    if (ensure_object(candidate.object, stop)) return;
  }
  throw lacks_needed_wal(line, file);
}

void WalCopier::note(const std::string& object, std::atomic<std::uint64_t>& count) {
  ++count;
  const std::lock_guard lock(mutex_);
  needed_.emplace(object, &count);
}

// False when the source has no such object.
bool WalCopier::ensure_object(const std::string& object, const std::stop_token& stop) {
  if (counted_ != nullptr) {
    if (!sides_.from.store().head(object, stop)) return false;
    note(object, sides_.to.store().head(object, stop) ? there_ : copied_);
    return true;
  }
  if (sides_.to.store().head(object, stop) && sides_.from.store().head(object, stop)) {
    if (!same_content(sides_, object, stop)) refuse_other_content(object);
    note(object, there_);
    return true;
  }
  switch (copy_wal({.from = sides_.from, .to = sides_.to}, object, stop)) {
    case WalCopy::kGone:
      return false;
    case WalCopy::kOtherContent:
      refuse_other_content(object);
    case WalCopy::kThereAlready:
      note(object, there_);
      return true;
    case WalCopy::kCopied:
      note(object, copied_);
      fault_point("copy.wal_copied");
      return true;
  }
  return false;
}

void WalCopier::onward(const std::vector<HistoryName>& histories, const std::stop_token& stop) {
  for (const HistoryName& history : histories) {
    const WalPlace place{backup_.name.cluster, history};
    for (const TimelineId timeline : list_timelines(sides_.from, place, stop)) {
      if (timeline < backup_.timeline) continue;  // left before this backup
      const std::string prefix = names::wal_timeline_prefix(place, timeline);
      counted_ != nullptr ? count_timeline(prefix, stop) : copy_timeline(prefix, stop);
    }
  }
}

CountedTimeline WalCopier::list_timeline(const std::string& prefix,
                                         const std::stop_token& stop) const {
  CountedTimeline counted;
  ListRequest request{.prefix = prefix};
  for (;;) {
    const ListPage page = sides_.from.store().list(request, stop);
    if (!page.objects.empty()) {
      const auto there = names_until(sides_.to.store(), request, page.objects.back().name, stop);
      for (const ObjectInfo& object : page.objects) {
        const auto number = number_of(object.name, backup_.wal_segment_size);
        if (!number) continue;
        (there.contains(object.name) ? counted.there : counted.missing).push_back(*number);
      }
    }
    if (!page.next) break;
    request.after = *page.next;
  }
  std::ranges::sort(counted.missing);
  std::ranges::sort(counted.there);
  return counted;
}

void WalCopier::count_timeline(const std::string& prefix, const std::stop_token& stop) {
  if (!counted_->contains(prefix)) counted_->emplace(prefix, list_timeline(prefix, stop));
  const CountedTimeline& counted = counted_->at(prefix);
  const std::uint64_t first = backup_.start_lsn.value / backup_.wal_segment_size.bytes;
  copied_ += count_from(first, counted.missing);
  there_ += count_from(first, counted.there);
  // What the backup needs is among them.
  for (auto at = needed_.lower_bound(prefix); at != needed_.end() && at->first.starts_with(prefix);
       ++at) {
    --*at->second;
  }
}

void WalCopier::copy_timeline(const std::string& prefix, const std::stop_token& stop) {
  const std::uint64_t first = backup_.start_lsn.value / backup_.wal_segment_size.bytes;
  ListRequest request{.prefix = prefix};
  for (;;) {
    const ListPage page = sides_.from.store().list(request, stop);
    std::vector<std::string> wanted;
    for (const ObjectInfo& object : page.objects) {
      if (needed_.contains(object.name)) continue;
      const auto number = number_of(object.name, backup_.wal_segment_size);
      if (number && *number >= first) wanted.push_back(object.name);
    }
    if (!wanted.empty()) {
      const auto there = names_until(sides_.to.store(), request, wanted.back(), stop);
      there_ +=
          std::erase_if(wanted, [&](const std::string& name) { return there.contains(name); });
      copy_missing(wanted, stop);
    }
    if (!page.next) return;
    request.after = *page.next;
  }
}

void WalCopier::copy_missing(const std::vector<std::string>& missing, const std::stop_token& stop) {
  parallel_for(
      missing.size(), wal_jobs(options_), stop, [&](std::size_t i, const std::stop_token& inner) {
        const WalCopy copy = copy_wal({.from = sides_.from, .to = sides_.to}, missing[i], inner);
        if (copy == WalCopy::kOtherContent) refuse_other_content(missing[i]);
        if (copy != WalCopy::kGone) ++copied_;  // gone: it has just expired
      });
}

}  // namespace holdfast
