#include "copy/wal_copier.h"

#include <algorithm>
#include <atomic>
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

class NeededWal {
 public:
  NeededWal(const CopySides& sides, const WalLine& line, const std::stop_token& stop)
      : sides_(sides), line_(line), stop_(stop) {}

  void ensure(const WalFileName& file, const std::stop_token& stop) {
    for (const WalCandidate& candidate : find_candidates(sides_.from, line_, file, stop)) {
      if (ensure_object(candidate.object, stop)) return;
    }
    throw Error(
        ErrorKind::kDamage,
        fmt::format("the backup needs the WAL file {}, which is not in the archive", file.text),
        {.object = names::wal_object({line_.cluster, line_.steps.front().history}, file, {}),
         .hint = "Such a backup cannot be restored from here. If the file is in another "
                 "repository, copy from that one: --from."});
  }
  WalCounts counts() const { return {copied_, there_}; }

 private:
  // False when the source has no such object.
  bool ensure_object(const std::string& object, const std::stop_token& stop) {
    if (sides_.to.store().head(object, stop) && sides_.from.store().head(object, stop)) {
      if (!same_content(sides_, object, stop)) refuse_other_content(object);
      ++there_;
      return true;
    }
    switch (copy_wal({.from = sides_.from, .to = sides_.to}, object, stop)) {
      case WalCopy::kGone:
        return false;
      case WalCopy::kOtherContent:
        refuse_other_content(object);
      case WalCopy::kThereAlready:
        ++there_;
        return true;
      case WalCopy::kCopied:
        ++copied_;
        fault_point("copy.wal_copied");
        return true;
    }
    return false;
  }

  const CopySides& sides_;
  const WalLine& line_;
  const std::stop_token& stop_;
  std::atomic<std::uint64_t> copied_{0}, there_{0};
};

// What of a timeline's files the backup can reach: everything but segments, with what belongs to
// them, that end before its start.
bool is_onward(const std::string& object, std::uint64_t first_segment, WalSegmentSize size) {
  if (object.find(".part-") != std::string::npos) return false;  // goes with its object
  const std::string file = object.substr(object.rfind('/') + 1);
  if (file.size() < kSegmentDigits) return true;  // the timeline's history
  const auto segment = parse_segment_name(file.substr(0, kSegmentDigits), size);
  return segment && segment->number >= first_segment;
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

WalCounts copy_page(const CopySides& sides, const std::vector<std::string>& wanted,
                    const std::set<std::string>& there, const CopyOptions& options,
                    const std::stop_token& stop) {
  std::vector<std::string> missing;
  std::ranges::copy_if(wanted, std::back_inserter(missing),
                       [&](const std::string& name) { return !there.contains(name); });
  std::atomic<std::uint64_t> copied{0};
  parallel_for(
      missing.size(), wal_jobs(options), stop, [&](std::size_t i, const std::stop_token& inner) {
        const WalCopy copy = copy_wal({.from = sides.from, .to = sides.to}, missing[i], inner);
        if (copy == WalCopy::kOtherContent) refuse_other_content(missing[i]);
        if (copy != WalCopy::kGone) ++copied;  // gone: it has just expired
      });
  return {copied, wanted.size() - missing.size()};
}

WalCounts copy_timeline(const CopySides& sides, const std::string& prefix, const BackupInfo& backup,
                        const CopyOptions& options, const std::stop_token& stop) {
  const std::uint64_t first = backup.start_lsn.value / backup.wal_segment_size.bytes;
  WalCounts counts;
  ListRequest request{.prefix = prefix};
  for (;;) {
    const ListPage page = sides.from.store().list(request, stop);
    std::vector<std::string> wanted;
    for (const ObjectInfo& object : page.objects) {
      if (is_onward(object.name, first, backup.wal_segment_size)) wanted.push_back(object.name);
    }
    if (!wanted.empty()) {
      const auto there = names_until(sides.to.store(), request, wanted.back(), stop);
      const WalCounts of_page = copy_page(sides, wanted, there, options, stop);
      counts.copied += of_page.copied;
      counts.there += of_page.there;
    }
    if (!page.next) return counts;
    request.after = *page.next;
  }
}

}  // namespace

WalCounts copy_needed_wal(const CopySides& sides, const BackupInfo& backup, const WalLine& line,
                          const CopyOptions& options, const std::stop_token& stop) {
  const auto segments =
      carried_segments(backup.timeline, backup.start_lsn, backup.stop_lsn, backup.wal_segment_size);
  NeededWal needed(sides, line, stop);
  if (backup.timeline.value > 1) needed.ensure(history_file_of(backup.timeline), stop);
  parallel_for(segments.size(), wal_jobs(options), stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 needed.ensure(wal_file_of(segments[i].name, backup.wal_segment_size), inner);
               });
  return needed.counts();
}

WalCounts copy_onward_wal(const CopySides& sides, const BackupInfo& backup,
                          const std::vector<HistoryName>& histories, const CopyOptions& options,
                          const std::stop_token& stop) {
  WalCounts counts;
  for (const HistoryName& history : histories) {
    const WalPlace place{backup.name.cluster, history};
    for (const TimelineId timeline : list_timelines(sides.from, place, stop)) {
      if (timeline < backup.timeline) continue;  // left before this backup
      const WalCounts of_timeline =
          copy_timeline(sides, names::wal_timeline_prefix(place, timeline), backup, options, stop);
      counts.copied += of_timeline.copied;
      counts.there += of_timeline.there;
    }
  }
  return counts;
}

}  // namespace holdfast
