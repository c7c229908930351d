#include "backup/choose_base.h"

#include <algorithm>
#include <ranges>

#include <fmt/format.h>

#include "backup/summary_changes.h"
#include "backup/wal_changes.h"
#include "core/error.h"
#include "core/fault_point.h"
#include "core/known.h"
#include "repository/intent.h"
#include "repository/recoverable.h"
#include "repository/tombstone.h"
#include "repository/wal_compare.h"
#include "system/files.h"

namespace holdfast {
namespace {

// When the backup with this id began.
Timestamp time_of(const BackupId& id) {
  const std::string& t = id.text;  // 20261122T020000Z-3f9a
  const auto time =
      parse_rfc3339(fmt::format("{}-{}-{}T{}:{}:{}Z", t.substr(0, 4), t.substr(4, 2),
                                t.substr(6, 2), t.substr(9, 2), t.substr(11, 2), t.substr(13, 2)));
  return time.value_or(Timestamp{});  // one that makes no sense is old
}

// What is wrong with the parent's copy of a page is not carried on unseen.
void add_bad_pages(const BackupInfo& parent, ChangedBlocks& into) {
  for (const auto* pages : {&parent.damaged, &parent.excused}) {
    for (const BadPage& page : *pages) {
      const auto path = parse_relation_file(page.path);
      const auto file = path ? relation_file_of(*path) : std::nullopt;
      if (!file || path->fork != Fork::kMain) continue;  // it is compared anyway
      const std::uint64_t block =
          std::uint64_t{path->number} * parent.relation_segment_blocks + page.block;
      into.add({RelationBlocks{*file, kMainFork, {{static_cast<std::uint32_t>(block), 1}}}});
    }
  }
}

class BaseChooser {
 public:
  BaseChooser(const Repository& repository, const std::vector<CatalogueEntry>& backups,
              const BaseWanted& wanted, ChunkReader& chunks, const std::stop_token& stop)
      : repository_(repository), backups_(backups), wanted_(wanted), chunks_(chunks), stop_(stop) {}

  ChosenBase choose();

 private:
  void look_at_line();
  TimelineHistory timelines_of_server() const;
  std::string why_not_on_line(const BackupInfo& parent) const;
  std::string why_not_exact(const BackupInfo& parent) const;
  std::vector<const CatalogueEntry*> candidates() const;
  bool take(const CatalogueEntry& entry);
  void tell_changes();
  std::string why_other_line(const BackupInfo& parent) const;
  std::string read_summaries(ChangedBlocks& into);
  std::string read_index(ChangedBlocks& into);
  void pass_over(const CatalogueEntry& entry, std::string_view why);

  const Repository& repository_;
  const std::vector<CatalogueEntry>& backups_;
  const BaseWanted& wanted_;
  ChunkReader& chunks_;
  const std::stop_token& stop_;
  std::vector<LineStep> line_;                // the server's history and those it came from
  std::optional<TimelineHistory> timelines_;  // of the server; none: no_timelines_ says why
  std::string no_timelines_;
  ChosenBase chosen_;
};

void BaseChooser::look_at_line() {
  try {
    line_ =
        line_of(list_histories(repository_, wanted_.child.cluster, stop_), wanted_.child.history);
    timelines_ = timelines_of_server();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound && !condemns_one_object(error.kind())) throw;
    no_timelines_ = error.message();
  }
}

// The server keeps the history file of its own timeline.
TimelineHistory BaseChooser::timelines_of_server() const {
  if (wanted_.timeline == TimelineId{1}) return {};
  const std::string name = timeline_history_file_name(wanted_.timeline);
  const auto text = read_file(wanted_.wal_directory / name, kMaxTimelineHistoryBytes);
  if (!text) throw Error(ErrorKind::kNotFound, fmt::format("pg_wal has no {}", name));
  return parse_timeline_history(wanted_.timeline, *text, name);
}

std::string BaseChooser::why_not_on_line(const BackupInfo& parent) const {
  if (!timelines_) return no_timelines_;
  const auto step = std::ranges::find(line_, parent.name.history, &LineStep::history);
  if (step == line_.end()) return "it is of another history";
  const Lsn last_byte{parent.stop_lsn.value - 1};
  const std::uint64_t segment_bytes = parent.wal_segment_size.bytes;
  const Lsn last_segment{last_byte.value / segment_bytes * segment_bytes};
  if (!step->has(parent.timeline, last_segment) ||
      !contains_up_to(*timelines_, parent.timeline, parent.stop_lsn)) {
    return "it ends behind the point where this line left its timeline";
  }
  if (parent.standalone) return "it carries its own WAL, which the archive was not compared with";
  if (parent.stop_lsn > wanted_.start) return "it ends behind the start of this backup";
  return {};
}

std::string BaseChooser::why_not_exact(const BackupInfo& parent) const {
  if (std::string why = why_not_on_line(parent); !why.empty()) return why;
  if (parent.data_checksums != wanted_.data_checksums) return "data checksums were switched";
  if (parent.damaged_pages > parent.damaged.size() ||
      parent.excused_pages > parent.excused.size()) {
    return "it has more damaged or torn pages than it names";
  }
  if (parent.relation_segment_blocks != wanted_.relation_segment_blocks) {
    return "the size of relation files changed";
  }
  return {};
}

// Newest first; those on the server's own line before all others.
std::vector<const CatalogueEntry*> BaseChooser::candidates() const {
  std::vector<const CatalogueEntry*> on_line, others;
  for (const CatalogueEntry& entry : std::views::reverse(backups_)) {
    if (entry.state != BackupState::kCommitted) continue;
    if (entry.outcome.info.page_hash_key != repository_.page_hasher().key_name()) continue;
    (why_not_on_line(entry.outcome.info).empty() ? on_line : others).push_back(&entry);
  }
  on_line.insert(on_line.end(), others.begin(), others.end());
  return on_line;
}

void BaseChooser::pass_over(const CatalogueEntry& entry, std::string_view why) {
  chosen_.warnings.push_back(fmt::format("not building on backup {}: {}", entry.name.id.text, why));
}

bool BaseChooser::take(const CatalogueEntry& entry) {
  write_intent(repository_, {.cited = entry.name, .citing = wanted_.child}, stop_);
  fault_point("backup.intent_written");
  if (is_tombstoned(repository_, entry.name, stop_)) {
    pass_over(entry, "it is going to be deleted");
    return false;
  }
  if (const auto proof = last_proof(repository_, entry.name, stop_); proof && !proof->ok) {
    pass_over(entry, "'holdfast verify' found it damaged");
    return false;
  }
  try {
    chosen_.manifest = std::make_unique<Manifest>(
        read_manifest(repository_, entry.outcome, chunks_.registry(), stop_), chunks_);
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    pass_over(entry, error.message());
    return false;
  }
  return true;
}

std::string BaseChooser::why_other_line(const BackupInfo& parent) const {
  const WalSegmentSize size = parent.wal_segment_size;
  const LocalSegments local{.place = {wanted_.child.cluster, wanted_.child.history},
                            .segment_size = size,
                            .wal_directory = wanted_.wal_directory,
                            .known_same = wanted_.known_same};
  const SegmentName next{wanted_.timeline, wanted_.start.value / size.bytes + 1};
  const auto other = other_content_before(repository_, local, next, kSegmentsLookedBack, stop_);
  if (!other) return {};
  return fmt::format("the archive has {} with other content than this server",
                     to_string(*other, size));
}

std::string BaseChooser::read_summaries(ChangedBlocks& into) {
  constexpr int kFirstWithSummaries = 170000;
  if (wanted_.postgres_version_num < kFirstWithSummaries) {
    return "PostgreSQL before 17 has no WAL summaries";
  }
  return read_summary_changes({.folder = wanted_.wal_directory / "summaries",
                               .timelines = known(timelines_),
                               .begin = chosen_.manifest->info().start_lsn,
                               .end = wanted_.start},
                              into, stop_);
}

std::string BaseChooser::read_index(ChangedBlocks& into) {
  try {
    const ArchiveSurvey survey = survey_archive(repository_, wanted_.child.cluster, stop_);
    return read_wal_changes(
        repository_,
        {.path = wal_path_of(repository_, survey, wanted_.child.history, wanted_.timeline, stop_),
         .begin = chosen_.manifest->info().start_lsn,
         .end = wanted_.start,
         .wal_directory = wanted_.wal_directory,
         .threads = wanted_.threads},
        into, stop_);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound && !condemns_one_object(error.kind())) throw;
    return error.message();
  }
}

// From the cheapest source that proves everything.
void BaseChooser::tell_changes() {
  IncrementalFacts& facts = chosen_.facts;
  facts.source = "comparison";
  const BackupInfo& parent = chosen_.manifest->info();
  facts.source_reason = wanted_.reread ? "asked for" : why_not_exact(parent);
  if (facts.source_reason.empty()) facts.source_reason = why_other_line(parent);
  if (!facts.source_reason.empty()) return;
  auto changes = std::make_unique<ChangedBlocks>(
      ChangedBlocks::Options{.relation_segment_blocks = wanted_.relation_segment_blocks});
  const std::string no_summaries = read_summaries(*changes);
  if (no_summaries.empty()) {
    facts.source = "wal summaries";
  } else if (std::string no_index = read_index(*changes); no_index.empty()) {
    facts.source = "wal index";
    facts.source_reason = no_summaries;
  } else {
    facts.source_reason = no_summaries + "; " + no_index;
    return;
  }
  add_bad_pages(parent, *changes);
  chosen_.changes = std::move(changes);
}

ChosenBase BaseChooser::choose() {
  look_at_line();
  for (const CatalogueEntry* entry : candidates()) {
    if (!take(*entry)) continue;
    chosen_.facts.parent = entry->name;
    tell_changes();
    chosen_.base = std::make_unique<Base>(*chosen_.manifest, chosen_.changes.get(),
                                          packs_due(chosen_.manifest->root(), chunks_.registry(),
                                                    wanted_.start_time, wanted_.refresh));
    break;
  }
  return std::move(chosen_);
}

}  // namespace

ChosenBase choose_base(const Repository& repository, const std::vector<CatalogueEntry>& backups,
                       const BaseWanted& wanted, ChunkReader& chunks, const std::stop_token& stop) {
  return BaseChooser(repository, backups, wanted, chunks, stop).choose();
}

namespace {

struct AgedPack {
  Timestamp written;
  std::uint32_t number;
  CitedPack pack;
};

// How many bytes of the oldest packs are to be written again, so that at the age of each pack as
// much is younger as should be. `packs`: oldest first.
double bytes_to_refresh(const std::vector<AgedPack>& packs, std::uint64_t all_bytes, Timestamp now,
                        std::chrono::milliseconds refresh) {
  const auto all = static_cast<double>(all_bytes);
  double most = 0, younger = all;
  for (std::size_t i = 0; i < packs.size(); ++i) {
    younger -= packs[i].pack.bytes;
    if (i + 1 < packs.size() && packs[i + 1].written == packs[i].written) continue;
    const double share = std::chrono::duration<double>(now - packs[i].written) /
                         std::chrono::duration<double>(refresh);
    most = std::max(most, all * share - younger);
  }
  return most;
}

}  // namespace

PackSet packs_due(const ManifestRoot& parent, const PackRegistry& registry, Timestamp now,
                  std::chrono::milliseconds refresh) {
  PackSet due;
  if (refresh.count() == 0) return due;
  std::vector<AgedPack> rest;
  std::uint64_t all_bytes = 0;
  for (const CitedPack& pack : parent.packs) {
    const PackRef& ref = registry.at(pack.pack);
    const Timestamp written = time_of(ref.backup);
    if (ref.kind == names::PackKind::kData) all_bytes += pack.bytes;
    if (now - written > refresh) {
      due.add(pack.pack);
    } else if (ref.kind == names::PackKind::kData) {
      rest.push_back({written, ref.number, pack});
    }
  }
  std::ranges::sort(rest, {}, [](const AgedPack& a) { return std::pair(a.written, a.number); });
  double left = bytes_to_refresh(rest, all_bytes, now, refresh);
  for (const AgedPack& aged : rest) {
    left -= aged.pack.bytes;
    if (left < 0) break;
    due.add(aged.pack.pack);
  }
  return due;
}

}  // namespace holdfast
