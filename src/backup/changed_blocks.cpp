#include "backup/changed_blocks.h"

#include <algorithm>
#include <charconv>

namespace holdfast {
namespace {

constexpr std::uint32_t kDefaultTablespace = 1663, kGlobalTablespace = 1664;

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The part of `run` within [first, end).
std::optional<BlockRun> clip(const BlockRun& run, std::uint64_t first, std::uint64_t end) {
  const std::uint64_t from = std::max<std::uint64_t>(run.first, first);
  const std::uint64_t to = std::min<std::uint64_t>(std::uint64_t{run.first} + run.count, end);
  if (from >= to) return std::nullopt;
  return BlockRun{static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to - from)};
}

}  // namespace

std::optional<RelationFile> relation_file_of(const RelationFilePath& path) {
  const std::string_view folder = path.folder;
  if (folder == "global") return RelationFile{kGlobalTablespace, 0, path.filenode};
  const std::size_t slash = folder.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto database = number_of(folder.substr(slash + 1));
  if (!database) return std::nullopt;
  if (folder.substr(0, slash) == "base") {
    return RelationFile{kDefaultTablespace, *database, path.filenode};
  }
  static constexpr std::string_view kTablespaces = "pg_tblspc/";
  if (!folder.starts_with(kTablespaces)) return std::nullopt;
  const std::string_view rest = folder.substr(kTablespaces.size());
  const auto tablespace = number_of(rest.substr(0, rest.find('/')));
  if (!tablespace) return std::nullopt;
  return RelationFile{*tablespace, *database, path.filenode};
}

void ChangedBlocks::add(const std::vector<RelationBlocks>& blocks) {
  for (const RelationBlocks& fork : blocks) {
    if (fork.fork != kMainFork) continue;
    Relation& relation = relations_[fork.file];
    runs_ -= relation.runs.size();
    relation.runs = relation.runs.empty() ? fork.runs : merge_runs(relation.runs, fork.runs);
    runs_ += relation.runs.size();
  }
  keep_within_limit();
}

void ChangedBlocks::add(const std::vector<WalFileEvent>& events) {
  using Kind = WalFileEvent::Kind;
  for (const WalFileEvent& event : events) {
    switch (event.kind) {
      case Kind::kCreate:
        if (event.fork == kMainFork) add_from(event.file, 0);
        break;
      case Kind::kDrop:
        add_from(event.file, 0);
        break;
      case Kind::kTruncate:
        if ((event.truncated & WalFileEvent::kTruncatesMain) != 0) {
          add_from(event.file, event.blocks);
        }
        break;
      case Kind::kDatabaseCopied:
      case Kind::kDatabaseCreated:
      case Kind::kDatabaseDropped:
        add_folder(event.file.tablespace, event.file.database);
        break;
      case Kind::kTablespaceCreated:
      case Kind::kTablespaceDropped:
        tablespaces_.insert(event.file.tablespace);
        break;
      case Kind::kRelationMap:
        break;  // no relation: it is compared
    }
  }
}

void ChangedBlocks::add_from(const RelationFile& file, std::uint32_t first) {
  Relation& relation = relations_[file];
  relation.all_from = std::min<std::uint64_t>(relation.all_from, first);
}

void ChangedBlocks::add_folder(std::uint32_t tablespace, std::uint32_t database) {
  folders_.emplace(tablespace, database);
}

// The relation with the most runs is the one whose blocks matter least one by one.
void ChangedBlocks::keep_within_limit() {
  while (runs_ > options_.max_runs) {
    const auto most = std::ranges::max_element(
        relations_, {}, [](const auto& relation) { return relation.second.runs.size(); });
    Relation& relation = most->second;
    relation.all_from = 0;
    runs_ -= relation.runs.size();
    relation.runs = {};
  }
}

std::optional<std::vector<BlockRun>> ChangedBlocks::in_file(std::string_view path,
                                                            std::uint64_t first,
                                                            std::uint64_t count) const {
  const auto parsed = parse_relation_file(path);
  if (!parsed || parsed->fork != Fork::kMain) return std::nullopt;
  const auto file = relation_file_of(*parsed);
  if (!file || tablespaces_.contains(file->tablespace) ||
      folders_.contains({file->tablespace, file->database})) {
    return std::nullopt;
  }
  const auto found = relations_.find(*file);
  if (found == relations_.end()) return std::vector<BlockRun>{};
  const Relation& relation = found->second;
  // Block numbers in WAL count over all files of the relation.
  const std::uint64_t base = std::uint64_t{parsed->number} * options_.relation_segment_blocks;
  const std::uint64_t begin = base + first;
  const std::uint64_t end = begin + count;
  std::vector<BlockRun> changed;
  const auto add = [&](const BlockRun& run) {
    changed.push_back({static_cast<std::uint32_t>(run.first - base), run.count});
  };
  auto at = std::ranges::upper_bound(relation.runs, begin, {}, &BlockRun::first);
  if (at != relation.runs.begin()) --at;
  const std::uint64_t until = std::min(end, relation.all_from);
  for (; at != relation.runs.end() && at->first < until; ++at) {
    if (const auto part = clip(*at, begin, until)) add(*part);
  }
  if (const std::uint64_t from = std::max(begin, relation.all_from); from < end) {
    add({static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(end - from)});
  }
  return changed;
}

}  // namespace holdfast
