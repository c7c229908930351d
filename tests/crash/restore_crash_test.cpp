// `restore` killed at every named point and at random moments: never a directory that could be
// taken for a database, and the next run finishes it.
#include <algorithm>
#include <csignal>
#include <iostream>
#include <random>

#include "core/fault_point.h"
#include "suite.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// One backup that all of these restore.
HoldfastProgram& program_with_backup() {
  static std::optional<HoldfastProgram> program;
  if (!program) {
    program.emplace(crash_cluster());
    const fs::path locked = crash_cluster().data_directory() / "only-to-read";
    write_text(locked, "mode 0400\n");
    give_to_server_user(locked);
    fs::permissions(locked, fs::perms::owner_read);
    program->init();
    program->backup();
  }
  return *program;
}

std::string relation_of_still() {
  return crash_cluster().sql("select pg_relation_filepath('still')");
}

void expect_no_database(const fs::path& target) {
  EXPECT_FALSE(fs::exists(target / "global/pg_control"));
  PostgresCluster half = PostgresCluster::on(target);
  EXPECT_FALSE(half.try_start());
}

void expect_whole(const fs::path& target) {
  PostgresCluster restored = PostgresCluster::on(target);
  ASSERT_TRUE(restored.try_start()) << restored.log();
  EXPECT_EQ(
      differences(content_of(crash_cluster(), kLoadTables), content_of(restored, kLoadTables)),
      std::vector<std::string>{});
  restored.stop();
  EXPECT_EQ(check_page_checksums(restored), "");
  EXPECT_EQ(fs::status(target / "only-to-read").permissions(), fs::perms::owner_read);
}

class RestoreKilledAt : public testing::TestWithParam<std::string> {};

TEST_P(RestoreKilledAt, DoesNotStartAndIsFinishedByTheNext) {
  HoldfastProgram& holdfast = program_with_backup();
  const fs::path target = holdfast.new_path();
  const Answer killed = holdfast.run({"restore", "--to", target.string()},
                                     {{"HOLDFAST_FAULT_POINT", GetParam() + ":kill"}});
  ASSERT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
  expect_no_database(target);
  const Json done = holdfast.restore(target);
  EXPECT_TRUE(done.at("resumed"));
  if (GetParam() == "restore.marker_written") {
    // Only zeros, which a file that was just created holds already.
    EXPECT_LT(done.at("bytes_kept"), std::uint64_t{1} << 20U);
  } else {
    EXPECT_GT(done.at("bytes_kept"), std::uint64_t{10} << 20U);
  }
  expect_whole(target);
}

std::vector<std::string> restore_points() {
  std::vector<std::string> points;
  for (const std::string_view point : kFaultPoints) {
    const bool of_delta = point.starts_with("restore.delta");
    if (point.starts_with("restore.") && !of_delta) points.emplace_back(point);
  }
  return points;
}

std::string point_name(const testing::TestParamInfo<std::string>& given) {
  std::string name = given.param;
  std::ranges::replace(name, '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Point, RestoreKilledAt, testing::ValuesIn(restore_points()), point_name);

TEST(RestoreKilledAtRandom, IsFinishedHoweverOftenItIsKilled) {
  const std::uint64_t seed = test_seed();
  std::cout << "HOLDFAST_TEST_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  HoldfastProgram& holdfast = program_with_backup();
  const auto began = std::chrono::steady_clock::now();
  holdfast.restore(holdfast.new_path());
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  const fs::path target = holdfast.new_path();
  const int kills = is_wide_run() ? 30 : 6;
  for (int i = 0; i < kills; ++i) {
    Process restore = holdfast.start({"restore", "--to", target.string()});
    std::this_thread::sleep_for(std::chrono::milliseconds{
        std::uniform_int_distribution<std::int64_t>(0, whole.count())(random)});
    restore.send(SIGKILL);
    const Outcome outcome = restore.wait(10s);
    if (outcome.ok()) break;  // it was faster
    ASSERT_EQ(outcome.signal, SIGKILL) << outcome.out << outcome.err;
    const bool is_whole = fs::exists(target / "global/pg_control");
    ASSERT_FALSE(is_whole && !fs::exists(target / "holdfast.restore"));
    if (is_whole) break;  // killed while it wrote down that it was done
  }
  if (!fs::exists(target / "global/pg_control")) holdfast.restore(target);
  expect_whole(target);
}

// A restored server that went on: other rows, a visibility map, tables and files of its own.
fs::path server_that_went_on() {
  const fs::path target = program_with_backup().new_path();
  program_with_backup().restore(target);
  PostgresCluster server = PostgresCluster::on(target);
  server.start();
  server.sql("update still set g = -g where g % 10 = 0; create table unknown as select 1");
  server.sql("vacuum still");
  server.stop();
  EXPECT_TRUE(fs::exists(target / (relation_of_still() + "_vm")));
  return target;
}

class DeltaKilledAt : public testing::TestWithParam<std::string> {};

TEST_P(DeltaKilledAt, IsFinishedByTheNext) {
  HoldfastProgram& holdfast = program_with_backup();
  const fs::path target = server_that_went_on();
  const Answer killed = holdfast.run({"restore", "--to", target.string(), "--delta", "--yes"},
                                     {{"HOLDFAST_FAULT_POINT", GetParam() + ":kill"}});
  ASSERT_EQ(killed.outcome.signal, SIGKILL) << killed.text();
  if (GetParam() != "restore.marker_written") expect_no_database(target);
  const Json done = holdfast.restore(target, {"--delta", "--yes"});
  EXPECT_GT(done.at("bytes_kept"), std::uint64_t{10} << 20U);
  EXPECT_FALSE(fs::exists(target / (relation_of_still() + "_vm")));
  expect_whole(target);
}

std::vector<std::string> delta_points() {
  std::vector<std::string> points{"restore.marker_written", "restore.window_written",
                                  "restore.before_control_file"};
  for (const std::string_view point : kFaultPoints) {
    if (point.starts_with("restore.delta")) points.emplace_back(point);
  }
  return points;
}

INSTANTIATE_TEST_SUITE_P(Point, DeltaKilledAt, testing::ValuesIn(delta_points()), point_name);

// Between the removal of the control file and the end of the cleaning there is no named point.
TEST(DeltaThatDiedWhileItCleaned, LeavesNoStrangerBehindWhenItIsFinished) {
  const fs::path target = server_that_went_on();
  fs::remove(target / "global/pg_control");
  const Json done = program_with_backup().restore(target);
  EXPECT_TRUE(done.at("resumed"));
  EXPECT_FALSE(fs::exists(target / (relation_of_still() + "_vm")))
      << "a stale visibility map gives wrong answers";
  expect_whole(target);
}

}  // namespace
}  // namespace holdfast::test
