// `expire --dry-run` of backups of many ages: what the configuration says is what the policy does.
#include <fmt/format.h>

#include "storage/folder_store.h"
#include "unit/cli/program_testing.h"
#include "unit/repository/repository_testing.h"

namespace holdfast {
namespace {

class RetentionProgram : public ProgramTest {
 protected:
  RetentionProgram() {
    create_folder_root(folder_ / "repository");
    Repository::create(*store(), {.holdfast_version = "test"}, {});
    const auto repository = Repository::open(store(), std::nullopt, {});
    // So far from each other that no two are of one day, week, month or year.
    for (int i = 5; i >= 0; --i) {
      const Timestamp time = system_clock().now() - std::chrono::days(400 * i);
      test::write_backup(*repository, {{"base/1/file", 3000, test::numbered_content}},
                         {.name = test::backup_name(fmt::format("{}-000{}", to_compact(time), i)),
                          .describe = [&](BackupInfo& info) {
                            info.start_time = info.stop_time = time;
                            info.standalone = true;
                            info.timeline = TimelineId{1};
                            info.start_lsn = Lsn{static_cast<std::uint64_t>(6 - i) << 24U};
                            info.stop_lsn = Lsn{info.start_lsn.value + 0x100};
                          }});
    }
  }
  std::unique_ptr<ObjectStore> store() const { return make_folder_store(folder_ / "repository"); }
  nlohmann::json dry_run(const std::string& retention, const std::string& more = "") {
    test::write_text(folder_ / "a.yaml",
                     fmt::format("cluster: demo\nstate_directory: {}\nrepositories:\n"
                                 "  - name: hot\n    url: file://{}\n    retention: {}\n{}",
                                 (folder_ / "state").string(), (folder_ / "repository").string(),
                                 retention, more));
    const nlohmann::json document = json({"expire", "--dry-run"});
    EXPECT_TRUE(document.at("ok").get<bool>()) << document.dump(2);
    return document.at("result");
  }
  static std::map<std::string, int> reasons(const nlohmann::json& result) {
    std::map<std::string, int> counts;
    for (const auto& backup : result.at("backups")) {
      for (const auto& reason : backup.at("reasons")) ++counts[reason.at("why")];
    }
    return counts;
  }
};

TEST_F(RetentionProgram, EachKeyOfTheConfigurationIsThePolicysOwn) {
  const auto result = dry_run(
      "{window: 500d, keep_last: 1, daily: 2, weekly: 3, monthly: 4, yearly: 5, grace: 3d}");
  EXPECT_EQ(reasons(result), (std::map<std::string, int>{{"anchor", 1},
                                                         {"daily", 2},
                                                         {"keep_last", 1},
                                                         {"last_good", 1},
                                                         {"monthly", 4},
                                                         {"weekly", 3},
                                                         {"window", 2},
                                                         {"yearly", 5}}));
  const auto& oldest = result.at("backups").at(0);
  EXPECT_EQ(oldest.at("action"), "mark");
  const auto due = parse_rfc3339(oldest.at("due").get<std::string>());
  const auto now = parse_rfc3339(result.at("now").get<std::string>());
  EXPECT_EQ(*due - *now, std::chrono::days(3));
}

// The repositories of the example in the documentation.
TEST_F(RetentionProgram, TheReferencePolicies) {
  const auto hot = dry_run("{window: 30d, keep_last: 2}");
  EXPECT_EQ(reasons(hot), (std::map<std::string, int>{
                              {"anchor", 1}, {"keep_last", 2}, {"last_good", 1}, {"window", 1}}));
  EXPECT_TRUE(hot.at("needs_consent").get<bool>()) << "four of six";
  const auto cold = dry_run("{monthly: 12, yearly: 7}");
  EXPECT_EQ(reasons(cold),
            (std::map<std::string, int>{{"last_good", 1}, {"monthly", 6}, {"yearly", 6}}));
  EXPECT_FALSE(cold.at("needs_consent").get<bool>());
}

// Of these two zones one is always a day ahead of the other.
TEST_F(RetentionProgram, DaysAreThoseOfTheConfiguredZone) {
  const auto day_in = [&](const std::string& zone) {
    const auto result = dry_run("{daily: 1}", "timezone: " + zone + "\n");
    return result.at("backups").back().at("reasons").at(0).at("detail").get<std::string>();
  };
  EXPECT_LT(day_in("Etc/GMT+12"), day_in("Pacific/Kiritimati"));
}

}  // namespace
}  // namespace holdfast
