// FileWalker: order, what is left out, links, loops. The source is a table in memory.
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backup/file_walker.h"
#include "core/error.h"
#include "repository/manifest.h"

namespace holdfast {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// Paths to what is there: "file", "folder", "special", or "-> path" for a link.
class TableSource final : public DataSource {
 public:
  explicit TableSource(std::map<std::string, std::string> entries) : entries_(std::move(entries)) {}

  std::vector<std::string> list(const std::string& folder) override {
    const std::string real = resolve(folder);
    const std::string prefix = real.empty() ? "" : real + "/";
    std::vector<std::string> names;
    for (const auto& [path, kind] : entries_) {
      if (path.size() > prefix.size() && path.starts_with(prefix) &&
          path.find('/', prefix.size()) == std::string::npos) {
        names.push_back(path.substr(prefix.size()));
      }
    }
    std::ranges::sort(names);
    return names;
  }

  std::optional<SourceStat> stat(const std::string& path) override {
    if (vanished == path) return std::nullopt;
    const auto slash = path.rfind('/');
    const std::string real =
        slash == std::string::npos ? path : resolve(path.substr(0, slash)) + path.substr(slash);
    return stat_of(real);
  }

  std::optional<SourceStat> stat_target(const std::string& path) override {
    return stat_of(resolve(path));
  }

  std::unique_ptr<SourceFile> open(const std::string&) override { return nullptr; }

  std::string vanished;

 private:
  std::optional<SourceStat> stat_of(const std::string& path) const {
    const auto at = entries_.find(path);
    if (at == entries_.end()) return std::nullopt;
    SourceStat stat;
    if (at->second == "folder") stat.type = FileType::kFolder;
    if (at->second == "special") stat.special = true;
    if (at->second.starts_with("-> ")) {
      stat.type = FileType::kSymlink;
      stat.link_target = at->second.substr(3);
    }
    return stat;
  }

  // Follows the links in `path`, as a kernel would.
  std::string resolve(const std::string& path) const {
    std::string real;
    for (std::size_t begin = 0; begin <= path.size() && !path.empty();) {
      const auto end = std::min(path.find('/', begin), path.size());
      real += (real.empty() ? "" : "/") + path.substr(begin, end - begin);
      for (int hops = 0; hops < 40; ++hops) {
        const auto at = entries_.find(real);
        if (at == entries_.end() || !at->second.starts_with("-> ")) break;
        real = at->second.substr(3);
      }
      begin = end + 1;
    }
    return real;
  }

  std::map<std::string, std::string> entries_;
};

std::vector<std::string> walk(FileWalker& walker) {
  std::vector<std::string> paths;
  walker.walk([&](const WalkedFile& file) { paths.push_back(file.path); }, {});
  return paths;
}

std::vector<std::string> walk(TableSource source) {
  FileWalker walker(source, {15, 202209061}, {16400});
  return walk(walker);
}

TEST(FileWalker, VisitsInManifestOrderFoldersBeforeWhatIsInThem) {
  const auto paths = walk(TableSource({{"base", "folder"},
                                       {"base/1", "folder"},
                                       {"base/1/2", "file"},
                                       {"base/1/10", "file"},
                                       {"base-more", "file"},
                                       {"PG_VERSION", "file"},
                                       {"base/5", "folder"}}));
  EXPECT_THAT(paths, ElementsAre("PG_VERSION", "base", "base/1", "base/1/10", "base/1/2", "base/5",
                                 "base-more"));
  EXPECT_TRUE(std::ranges::is_sorted(paths, path_before));
}

TEST(FileWalker, LeavesOutWhatTheServerWouldNotWantBack) {
  EXPECT_THAT(walk(TableSource({{"postmaster.pid", "file"},
                                {"backup_label", "file"},
                                {"standby.signal", "file"},
                                {"holdfast.restore", "file"},
                                {"pg_wal", "folder"},
                                {"pg_wal/000000010000000000000001", "file"},
                                {"pg_stat_tmp", "folder"},
                                {"pg_stat_tmp/x", "file"},
                                {"base", "folder"},
                                {"base/1", "folder"},
                                {"base/1/pg_internal.init", "file"},
                                {"base/1/t3_16384", "file"},
                                {"base/pgsql_tmp", "folder"},
                                {"base/pgsql_tmp/pgsql_tmp1.0", "file"}})),
              ElementsAre("base", "base/1", "pg_stat_tmp", "pg_wal"));
}

TEST(FileWalker, OfUnloggedRelationsOnlyTheInitForkIsCarried) {
  EXPECT_THAT(
      walk(TableSource({{"base", "folder"},
                        {"base/1", "folder"},
                        {"base/1/100", "file"},
                        {"base/1/100.1", "file"},
                        {"base/1/100_fsm", "file"},
                        {"base/1/100_init", "file"},
                        {"base/1/100_vm", "file"},
                        {"base/1/1000", "file"},
                        {"base/2", "folder"},
                        {"base/2/100", "file"}})),
      ElementsAre("base", "base/1", "base/1/1000", "base/1/100_init", "base/2", "base/2/100"));
}

TEST(FileWalker, TablespacesAreFollowedAndTheOtherVersionsInThemLeftOut) {
  TableSource source({{"pg_tblspc", "folder"},
                      {"pg_tblspc/16400", "-> elsewhere"},
                      {"elsewhere", "folder"},
                      {"elsewhere/PG_15_202209061", "folder"},
                      {"elsewhere/PG_15_202209061/5", "folder"},
                      {"elsewhere/PG_15_202209061/5/7", "file"},
                      {"elsewhere/PG_14_202107181", "folder"},
                      {"elsewhere/PG_14_202107181/5", "folder"}});
  FileWalker walker(source, {15, 202209061}, {16400});
  std::vector<std::string> paths = walk(walker);
  std::erase_if(paths, [](const std::string& path) { return path.starts_with("elsewhere"); });
  EXPECT_THAT(paths, ElementsAre("pg_tblspc", "pg_tblspc/16400", "pg_tblspc/16400/PG_15_202209061",
                                 "pg_tblspc/16400/PG_15_202209061/5",
                                 "pg_tblspc/16400/PG_15_202209061/5/7"));
  EXPECT_THAT(walker.followed_links(), IsEmpty());
}

// Replay makes it, and would fail where a folder of the backup is in its way.
TEST(FileWalker, ATablespaceThatWasMadeSinceTheBackupBeganIsLeftOut) {
  const auto paths = walk(TableSource({{"pg_tblspc", "folder"},
                                       {"pg_tblspc/16401", "-> elsewhere"},
                                       {"pg_tblspc/16402", "folder"},
                                       {"pg_tblspc/16402/PG_15_202209061", "folder"},
                                       {"elsewhere", "folder"},
                                       {"elsewhere/PG_15_202209061", "folder"}}));
  EXPECT_THAT(paths, Not(Contains(StartsWith("pg_tblspc/16401"))));
  EXPECT_THAT(paths, Contains("pg_tblspc/16402/PG_15_202209061"));  // in place
}

TEST(FileWalker, OtherLinksAreFollowedAndReportedAndSpecialFilesLeftOutAndReported) {
  TableSource source({{"conf", "-> PG_VERSION"},
                      {"PG_VERSION", "file"},
                      {"pg_wal", "-> wal"},
                      {"wal", "folder"},
                      {"socket", "special"},
                      {"dangling", "-> nowhere"}});
  FileWalker walker(source, {15, 202209061}, {16400});
  EXPECT_THAT(walk(walker), ElementsAre("PG_VERSION", "conf", "pg_wal", "wal"));
  EXPECT_THAT(walker.followed_links(), ElementsAre("conf -> PG_VERSION"));
  EXPECT_THAT(walker.special_files(), ElementsAre("dangling", "socket"));
  EXPECT_EQ(walker.wal_directory(), "wal");
}

TEST(FileWalker, LoopOfLinksIsAnErrorThatNamesThePlace) {
  TableSource source({{"a", "folder"}, {"a/again", "-> a"}});
  FileWalker walker(source, {15, 202209061}, {16400});
  try {
    walk(walker);
    FAIL() << "it ended";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kHost);
    EXPECT_TRUE(error.object().starts_with("a/again/again")) << error.object();
  }
}

TEST(FileWalker, WhatVanishesBetweenListAndStatIsPassedOver) {
  TableSource source({{"a", "file"}, {"b", "folder"}, {"b/c", "file"}, {"d", "file"}});
  source.vanished = "b";
  FileWalker walker(source, {15, 202209061}, {16400});
  EXPECT_THAT(walk(walker), ElementsAre("a", "d"));
}

TEST(FileWalker, StopsWhenItIsToldTo) {
  TableSource source({{"a", "file"}, {"b", "file"}});
  FileWalker walker(source, {15, 202209061}, {16400});
  std::stop_source stop;
  int visited = 0;
  EXPECT_THROW(walker.walk(
                   [&](const WalkedFile&) {
                     ++visited;
                     stop.request_stop();
                   },
                   stop.get_token()),
               Error);
  EXPECT_EQ(visited, 1);
}

}  // namespace
}  // namespace holdfast
