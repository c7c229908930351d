#include <gmock/gmock.h>

#include "core/error.h"
#include "postgres/backup_label.h"
#include "postgres/control_file.h"
#include "server_test.h"

namespace holdfast {
namespace {

class AStandby : public test::EveryServer {};
HF_FOR_EVERY_SERVER(AStandby);

TEST_P(AStandby, IsBackedUpAndPromoted) {
  test::PostgresCluster primary({.programs = GetParam(), .wal_segment_mib = 1});
  primary.start();
  auto standby = test::PostgresCluster::standby_of(primary);
  standby.start();
  Session session = Session::connect(standby.connection(), stop_.get_token());
  EXPECT_TRUE(session.server().in_recovery);
  EXPECT_EQ(session.server().timeline, TimelineId{1});
  EXPECT_EQ(session.server().system_identifier,
            read_control_file(primary.data_directory()).parsed.system_identifier);

  const Lsn written = *parse_lsn(primary.sql(
      "create table t as select generate_series(1, 1000); select pg_current_wal_flush_lsn()"));
  standby.wait_for("pg_last_wal_replay_lsn() >= '" + to_string(written) + "'");
  EXPECT_GE(session.insert_position(), written);
  EXPECT_GE(session.flushed_position(), written);

  session.reserve_wal("holdfast_test");
  const BackupStart start = session.start_backup("standby", Session::Checkpoint::kFast);
  const BackupLabel label = parse_backup_label(session.stop_backup().backup_label);
  EXPECT_TRUE(label.from_standby);
  EXPECT_EQ(label.start, start.lsn);
  EXPECT_EQ(label.start_timeline, start.timeline);
  EXPECT_THROW(session.switch_wal(), Error);

  // Straight after a promotion pg_control still has the old timeline: nothing made a checkpoint.
  standby.promote();
  EXPECT_FALSE(session.in_recovery());
  EXPECT_EQ(session.timeline(), TimelineId{2});
  EXPECT_TRUE(session.server().in_recovery) << "it is as it was when the session connected";
  const Session later = Session::connect(standby.connection(), stop_.get_token());
  EXPECT_EQ(later.server().timeline, TimelineId{2});
  EXPECT_FALSE(later.server().in_recovery);
}

TEST_P(AStandby, OfAPromotedOneIsOnItsTimeline) {
  test::PostgresCluster primary({.programs = GetParam(), .wal_segment_mib = 1});
  primary.start();
  auto second = test::PostgresCluster::standby_of(primary);
  second.start();
  second.promote();
  second.sql("checkpoint");
  auto third = test::PostgresCluster::standby_of(second);
  third.start();
  third.wait_for("exists (select from pg_stat_wal_receiver where status = 'streaming')");
  const Session session = Session::connect(third.connection(), stop_.get_token());
  EXPECT_EQ(session.server().timeline, TimelineId{2});
}

}  // namespace
}  // namespace holdfast
