// What WAL says of a file, asked by the file's name.
#include "backup/changed_blocks.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ChangedBlocks, ManyRunsBecomeTheWholeRelation) {
  ChangedBlocks changes({.max_runs = 10});
  std::vector<BlockRun> runs;
  for (std::uint32_t i = 0; i < 20; ++i) runs.push_back({i * 4, 1});
  changes.add({RelationBlocks{{1663, 5, 1}, kMainFork, runs},
               RelationBlocks{{1663, 5, 2}, kMainFork, {{3, 1}}}});
  EXPECT_EQ(changes.in_file("base/5/1", 0, 100), (std::vector<BlockRun>{{0, 100}}));
  EXPECT_EQ(changes.in_file("base/5/2", 0, 100), (std::vector<BlockRun>{{3, 1}}));
}

TEST(ChangedBlocks, CountsBlocksOverTheFilesOfARelation) {
  ChangedBlocks changes({.relation_segment_blocks = 100});
  changes.add({RelationBlocks{{1663, 5, 1}, kMainFork, {{95, 10}, {230, 1}}}});
  EXPECT_EQ(changes.in_file("base/5/1", 0, 100), (std::vector<BlockRun>{{95, 5}}));
  EXPECT_EQ(changes.in_file("base/5/1.1", 0, 100), (std::vector<BlockRun>{{0, 5}}));
  EXPECT_EQ(changes.in_file("base/5/1.2", 25, 10), (std::vector<BlockRun>{{30, 1}}));
  EXPECT_EQ(changes.in_file("base/5/1.3", 0, 100), std::vector<BlockRun>{});
  EXPECT_EQ(changes.in_file("base/5/1_vm", 0, 100), std::nullopt);
  EXPECT_EQ(changes.in_file("pg_xact/0000", 0, 100), std::nullopt);
}

TEST(ChangedBlocks, OfFilesThatWereMadeCutOrDroppedNothingIsKnownFromThereOn) {
  using Kind = WalFileEvent::Kind;
  ChangedBlocks changes({});
  changes.add({WalFileEvent{.kind = Kind::kCreate, .file = {1663, 5, 1}},
               WalFileEvent{.kind = Kind::kCreate, .file = {1663, 5, 2}, .fork = kVisibilityFork},
               WalFileEvent{.kind = Kind::kDrop, .file = {1663, 5, 3}},
               WalFileEvent{.kind = Kind::kTruncate,
                            .file = {1663, 5, 4},
                            .truncated = WalFileEvent::kTruncatesMain,
                            .blocks = 7}});
  const std::vector<BlockRun> all{{0, 10}};
  EXPECT_EQ(changes.in_file("base/5/1", 0, 10), all);
  EXPECT_EQ(changes.in_file("base/5/2", 0, 10), std::vector<BlockRun>{});
  EXPECT_EQ(changes.in_file("base/5/3", 0, 10), all);
  EXPECT_EQ(changes.in_file("base/5/4", 0, 10), (std::vector<BlockRun>{{7, 3}}));
}

TEST(ChangedBlocks, FoldersThatWereMadeCopiedOrDroppedAreNotKnown) {
  using Kind = WalFileEvent::Kind;
  ChangedBlocks changes({});
  changes.add({WalFileEvent{.kind = Kind::kDatabaseCopied, .file = {1663, 77, 0}},
               WalFileEvent{.kind = Kind::kDatabaseCreated, .file = {1663, 79, 0}},
               WalFileEvent{.kind = Kind::kDatabaseDropped, .file = {1663, 80, 0}},
               WalFileEvent{.kind = Kind::kTablespaceCreated, .file = {499, 0, 0}},
               WalFileEvent{.kind = Kind::kTablespaceDropped, .file = {500, 0, 0}}});
  for (const char* folder : {"base/77", "base/79", "base/80"}) {
    EXPECT_EQ(changes.in_file(std::string(folder) + "/1", 0, 1), std::nullopt) << folder;
  }
  EXPECT_EQ(changes.in_file("pg_tblspc/499/PG_15_1/5/1", 0, 1), std::nullopt);
  EXPECT_EQ(changes.in_file("pg_tblspc/500/PG_15_1/5/1", 0, 1), std::nullopt);
  EXPECT_EQ(changes.in_file("pg_tblspc/501/PG_15_1/5/1", 0, 1), std::vector<BlockRun>{});
  EXPECT_EQ(changes.in_file("base/78/1", 0, 1), std::vector<BlockRun>{});
  EXPECT_EQ(changes.in_file("global/1260", 0, 1), std::vector<BlockRun>{});
}

}  // namespace
}  // namespace holdfast
