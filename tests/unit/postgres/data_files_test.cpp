#include "postgres/data_files.h"

#include <string>

#include <gtest/gtest.h>

namespace holdfast {

void PrintTo(Carry carry, std::ostream* out) {
  *out << (carry == Carry::kYes ? "carried" : carry == Carry::kNo ? "left out" : "empty folder");
}

namespace {

struct Rule {
  const char* path;
  Carry expected;
};

class CarriedByBackup : public testing::TestWithParam<Rule> {};

TEST_P(CarriedByBackup, AsDocumented) {
  EXPECT_EQ(carried_by_backup(GetParam().path), GetParam().expected) << GetParam().path;
}

// Each rule with what only looks like it.
constexpr Rule kRules[] = {
    // Folders whose content belongs to the running server.
    {"pg_wal", Carry::kEmptyFolder},
    {"pg_wal/archive_status", Carry::kEmptyFolder},
    {"pg_wal/summaries", Carry::kEmptyFolder},
    {"pg_wal/000000010000000000000001", Carry::kNo},
    {"pg_wal/00000002.history", Carry::kNo},
    {"pg_wal/archive_status/000000010000000000000001.ready", Carry::kNo},
    {"pg_wal/summaries/0000000100000000010000280000000001000128.summary", Carry::kNo},
    {"pg_walk", Carry::kYes},
    {"pg_wal.old/x", Carry::kYes},
    {"base/pg_wal", Carry::kYes},
    {"pg_dynshmem", Carry::kEmptyFolder},
    {"pg_dynshmem/mmap.1234", Carry::kNo},
    {"pg_notify", Carry::kEmptyFolder},
    {"pg_notify/0000", Carry::kNo},
    {"pg_replslot", Carry::kEmptyFolder},
    {"pg_replslot/slot/state", Carry::kNo},
    {"pg_serial", Carry::kEmptyFolder},
    {"pg_serial/0000", Carry::kNo},
    {"pg_snapshots", Carry::kEmptyFolder},
    {"pg_snapshots/00000003-00000002-1", Carry::kNo},
    {"pg_stat_tmp", Carry::kEmptyFolder},
    {"pg_stat_tmp/global.stat", Carry::kNo},
    {"pg_subtrans", Carry::kEmptyFolder},
    {"pg_subtrans/0000", Carry::kNo},
    // Transaction state and permanent statistics are data.
    {"pg_stat", Carry::kYes},
    {"pg_stat/pgstat.stat", Carry::kYes},
    {"pg_xact/0000", Carry::kYes},
    {"pg_commit_ts/0000", Carry::kYes},
    {"pg_multixact/members/0000", Carry::kYes},
    {"pg_twophase/0000000000000300", Carry::kYes},
    {"pg_logical/replorigin_checkpoint", Carry::kYes},
    {"pg_tblspc", Carry::kYes},
    {"global/pg_control", Carry::kYes},
    {"PG_VERSION", Carry::kYes},
    // Files in the root.
    {"postgresql.auto.conf", Carry::kYes},
    {"postgresql.auto.conf.tmp", Carry::kNo},
    {"postgresql.conf", Carry::kYes},
    {"current_logfiles", Carry::kYes},
    {"current_logfiles.tmp", Carry::kNo},
    {"backup_label", Carry::kNo},
    {"backup_label.old", Carry::kYes},
    {"tablespace_map", Carry::kNo},
    {"tablespace_map.old", Carry::kYes},
    {"backup_manifest", Carry::kNo},
    {"backup_manifests", Carry::kYes},
    {"postmaster.pid", Carry::kNo},
    {"postmaster.opts", Carry::kNo},
    {"postmaster.pid.save", Carry::kYes},
    {"base/5/postmaster.pid", Carry::kYes},
    {"standby.signal", Carry::kNo},
    {"recovery.signal", Carry::kNo},
    {"recovery.done", Carry::kYes},
    {"promote", Carry::kNo},
    {"logrotate", Carry::kNo},
    {"log/promote", Carry::kYes},
    // Ours.
    {"holdfast.restore", Carry::kNo},
    {"holdfast.anything", Carry::kNo},
    {"holdfast", Carry::kYes},
    {"base/holdfast.restore", Carry::kYes},
    // The relation cache, wherever it lies.
    {"base/5/pg_internal.init", Carry::kNo},
    {"global/pg_internal.init", Carry::kNo},
    {"global/pg_internal.init.1234", Carry::kNo},
    {"global/pg_internal.ini", Carry::kYes},
    {"base/5/pg_filenode.map", Carry::kYes},
    // Work files.
    {"base/pgsql_tmp", Carry::kNo},
    {"base/pgsql_tmp/pgsql_tmp1234.0", Carry::kNo},
    {"base/pgsql_tmp/pgsql_tmp1234.0.sharedfileset/0.0", Carry::kNo},
    {"pg_tblspc/16500/PG_15_202209061/pgsql_tmp/pgsql_tmp1.0", Carry::kNo},
    {"base/5/pgsql_tm", Carry::kYes},
    // Temporary relations.
    {"base/5/t3_16450", Carry::kNo},
    {"base/5/t3_16450.1", Carry::kNo},
    {"base/5/t3_16450_fsm", Carry::kNo},
    {"base/5/t3_16450_vm.2", Carry::kNo},
    {"pg_tblspc/16500/PG_15_202209061/5/t12_16450", Carry::kNo},
    {"base/5/16450", Carry::kYes},
    {"base/5/16450_init", Carry::kYes},
    {"base/5/t_16450", Carry::kYes},
    {"base/5/t3_", Carry::kYes},
    {"base/5/t3_16450_foo", Carry::kYes},
    {"base/5/t3x_16450", Carry::kYes},
    {"t3_16450", Carry::kYes},
    {"mine/t3_16450", Carry::kYes},
};
INSTANTIATE_TEST_SUITE_P(Rules, CarriedByBackup, testing::ValuesIn(kRules));

TEST(CarriedByBackup, LeavesOtherVersionsFoldersInATablespaceOut) {
  const TablespaceVersion version{.major_version = 15, .catalog_version = 202209061};
  EXPECT_EQ(to_string(version), "PG_15_202209061");
  for (const char* const mine :
       {"pg_tblspc", "pg_tblspc/16500", "pg_tblspc/16500/PG_15_202209061",
        "pg_tblspc/16500/PG_15_202209061/5/16450", "base/PG_14_202107181/1", "global/1262"}) {
    EXPECT_EQ(carried_by_backup(mine, version), Carry::kYes) << mine;
  }
  for (const char* const foreign :
       {"pg_tblspc/16500/PG_14_202107181", "pg_tblspc/16500/PG_14_202107181/5/16450",
        "pg_tblspc/16500/PG_15_202209060", "pg_tblspc/16500/PG_15_2022090611",
        "pg_tblspc/16500/lost+found"}) {
    EXPECT_EQ(carried_by_backup(foreign, version), Carry::kNo) << foreign;
  }
  EXPECT_EQ(carried_by_backup("pg_tblspc/16500/PG_15_202209061/5/t1_2", version), Carry::kNo);
}

struct Parsed {
  const char* path;
  const char* folder;
  std::uint32_t filenode;
  Fork fork;
  std::uint32_t number;
};

class RelationFilePath : public testing::TestWithParam<Parsed> {};

TEST_P(RelationFilePath, IsTakenApart) {
  const Parsed& expected = GetParam();
  const auto parsed = parse_relation_file(expected.path);
  ASSERT_TRUE(parsed) << expected.path;
  EXPECT_EQ(parsed->folder, expected.folder);
  EXPECT_EQ(parsed->filenode, expected.filenode);
  EXPECT_EQ(parsed->fork, expected.fork);
  EXPECT_EQ(parsed->number, expected.number);
}

constexpr Parsed kRelationFiles[] = {
    {"base/16384/24576", "base/16384", 24576, Fork::kMain, 0},
    {"base/16384/24576.12", "base/16384", 24576, Fork::kMain, 12},
    {"base/16384/24576_fsm", "base/16384", 24576, Fork::kFreeSpaceMap, 0},
    {"base/16384/24576_fsm.1", "base/16384", 24576, Fork::kFreeSpaceMap, 1},
    {"base/16384/24576_vm", "base/16384", 24576, Fork::kVisibilityMap, 0},
    {"base/16384/24576_init", "base/16384", 24576, Fork::kInit, 0},
    {"base/1/4294967295", "base/1", 4294967295U, Fork::kMain, 0},
    {"global/1262", "global", 1262, Fork::kMain, 0},
    {"pg_tblspc/16500/PG_15_202209061/16384/2.3", "pg_tblspc/16500/PG_15_202209061/16384", 2,
     Fork::kMain, 3},
};
INSTANTIATE_TEST_SUITE_P(Paths, RelationFilePath, testing::ValuesIn(kRelationFiles));

TEST(RelationFilePath, OfAnythingElseIsNone) {
  for (const char* const path : {"",
                                 "24576",
                                 "/24576",
                                 "base/24576",
                                 "base//24576",
                                 "base/16384/",
                                 "base/16384/0",
                                 "base/16384/024576",
                                 "base/16384/4294967296",
                                 "base/16384/-1",
                                 "base/16384/24576.",
                                 "base/16384/24576.0",
                                 "base/16384/24576.01",
                                 "base/16384/24576.x",
                                 "base/16384/24576_",
                                 "base/16384/24576_main",
                                 "base/16384/24576_fsm_vm",
                                 "base/16384/24576.1_fsm",
                                 "base/16384/t3_24576",
                                 "base/16384/pg_filenode.map",
                                 "base/16384/5/24576",
                                 "base/x/24576",
                                 "base/pgsql_tmp/1",
                                 "global/pg_control",
                                 "global/1/2",
                                 "globals/1262",
                                 "pg_tblspc/16500/16384/2",
                                 "pg_tblspc/x/PG_15_202209061/16384/2",
                                 "pg_tblspc/16500/PG_15/16384/2",
                                 "pg_tblspc/16500/PG_15_202209061/2",
                                 "pg_xact/0000",
                                 "base/16384/24576 ",
                                 "base/16384/24576\n"}) {
    EXPECT_FALSE(parse_relation_file(path)) << path;
  }
}

TEST(Fork, HasTheNameOfItsFiles) {
  EXPECT_EQ(to_string(Fork::kMain), "main");
  EXPECT_EQ(to_string(Fork::kFreeSpaceMap), "fsm");
  EXPECT_EQ(to_string(Fork::kVisibilityMap), "vm");
  EXPECT_EQ(to_string(Fork::kInit), "init");
}

}  // namespace
}  // namespace holdfast
