// The units for systemd: against those in deploy/, and to systemd's own checks.
#include "app/units.h"

#include <filesystem>
#include <sstream>

#include <gmock/gmock.h>

#include "support/process.h"
#include "support/surroundings.h"
#include "unit/app/config_testing.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const UnitPlace kPlace{
    .program = "/usr/bin/holdfast", .configuration = "/etc/holdfast/main.yaml", .user = "postgres"};

std::vector<std::string> names_of(const std::vector<SystemdUnit>& units) {
  std::vector<std::string> names;
  for (const SystemdUnit& unit : units) names.push_back(unit.name);
  return names;
}

std::string content_of(const std::vector<SystemdUnit>& units, const std::string& name) {
  for (const SystemdUnit& unit : units) {
    if (unit.name == name) return unit.content;
  }
  return "no unit " + name;
}

class UnitsTest : public ConfigTest {
 protected:
  Config example() {
    return load(test::read_text(test::source_folder() / "deploy/holdfast.yaml")).config;
  }
  fs::path made_folder() const {
    fs::create_directories(folder_ / "units");
    return folder_ / "units";
  }
};

// HOLDFAST_TEST_UPDATE=1 rewrites them.
TEST_F(UnitsTest, AreThoseInDeploy) {
  const fs::path folder = test::source_folder() / "deploy/systemd";
  const std::vector<SystemdUnit> units = make_units(example(), kPlace);
  if (std::getenv("HOLDFAST_TEST_UPDATE") != nullptr) {
    for (const SystemdUnit& unit : units) test::write_text(folder / unit.name, unit.content);
  }
  std::size_t there = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    ++there;
    EXPECT_EQ(test::read_text(entry.path()), content_of(units, entry.path().filename()));
  }
  EXPECT_EQ(there, units.size());
}

TEST_F(UnitsTest, FollowTheConfiguration) {
  EXPECT_THAT(names_of(make_units(example(), kPlace)), Contains("holdfast-main-copy-cold.timer"));
  const std::vector<SystemdUnit> small =
      make_units(load("cluster: small\ntimezone: Europe/Berlin\n"
                      "postgres: {data_directory: /srv/pg}\n"
                      "backup: {schedule: '30 1 13 * fri'}\n"
                      "repositories:\n  - {name: hot, url: \"file:///srv/b\"}\n")
                     .config,
                 kPlace);
  EXPECT_THAT(
      names_of(small),
      ElementsAre("holdfast-small-backup.service", "holdfast-small-backup.timer",
                  "holdfast-small-check.service", "holdfast-small-check.timer",
                  "holdfast-small-status.service", "holdfast-small-status.timer",
                  "holdfast-small-verify.service", "holdfast-small-verify.timer",
                  "holdfast-small-drill.service", "holdfast-small-drill.timer",
                  "holdfast-small-drill-quarterly.service", "holdfast-small-drill-quarterly.timer",
                  "holdfast-small-failed@.service"));
  const std::string timer = content_of(small, "holdfast-small-backup.timer");
  EXPECT_THAT(timer, HasSubstr("OnCalendar=*-*-13 01:30:00 Europe/Berlin\n"
                               "OnCalendar=Fri *-*-* 01:30:00 Europe/Berlin\n"));
}

// What a timer makes up for after a boot would else come before PostgreSQL.
TEST_F(UnitsTest, ComeAfterTheServiceOfTheServer) {
  const auto backup = [&](const std::string& data_directory) {
    return content_of(make_units(load("cluster: c\npostgres: {data_directory: " + data_directory +
                                      "}\nrepositories:\n  - {name: hot, url: \"file:///b\"}\n")
                                     .config,
                                 kPlace),
                      "holdfast-c-backup.service");
  };
  const std::string network = "\nAfter=network-online.target postgresql.service";
  EXPECT_THAT(backup("/var/lib/postgresql/15/main"),
              HasSubstr(network + " postgresql@15-main.service\n"));
  EXPECT_THAT(backup("/var/lib/pgsql/16/data/"), HasSubstr(network + " postgresql-16.service\n"));
  EXPECT_THAT(backup("/srv/pg"), HasSubstr(network + "\n"));
}

// What watches says that PostgreSQL does not start, and cannot wait for it.
TEST_F(UnitsTest, WaitForTheServerOnlyWhereTheyNeedIt) {
  Config config = example();
  config.canary.interval = std::chrono::seconds(5);
  const std::vector<SystemdUnit> units = make_units(config, kPlace);
  const auto waits = [&](const std::string& job) {
    const std::string content = content_of(units, "holdfast-main-" + job + ".service");
    EXPECT_THAT(content, HasSubstr("\nAfter=network-online.target"));
    return content.find("postgresql") != std::string::npos;
  };
  for (const char* job :
       {"backup", "copy-cold", "drill", "drill-quarterly", "drill-yearly", "canary"}) {
    EXPECT_TRUE(waits(job)) << job;
  }
  for (const char* job : {"check", "status", "verify", "expire-hot", "expire-cold"}) {
    EXPECT_FALSE(waits(job)) << job;
  }
}

TEST_F(UnitsTest, AnEmptyScheduleIsNoBackupOfOurs) {
  const std::vector<SystemdUnit> units =
      make_units(load("cluster: small\npostgres: {data_directory: /srv/pg}\n"
                      "backup: {schedule: ''}\n"
                      "repositories:\n  - {name: hot, url: \"file:///srv/b\"}\n")
                     .config,
                 kPlace);
  EXPECT_THAT(names_of(units), Not(Contains(HasSubstr("backup"))));
  EXPECT_THAT(names_of(units), Contains("holdfast-small-check.timer"));
}

TEST_F(UnitsTest, RehearseFromAColdRepositoryWhereNothingHasToBeConsentedTo) {
  const auto names = [&](const std::string& more, const std::string& cold) {
    return names_of(make_units(load("cluster: small\n" + more +
                                    "repositories:\n  - {name: hot, url: \"file:///srv/b\"}\n"
                                    "  - {name: cold, url: \"s3://b/c\"" +
                                    cold + "}\n")
                                   .config,
                               kPlace));
  };
  constexpr const char* kYearly = "holdfast-small-drill-yearly.timer";
  const std::string frozen = ", storage_class: {data: GLACIER}";
  EXPECT_THAT(names("", ""), Not(Contains(kYearly)));
  EXPECT_THAT(names("", ", copy: {standalone: true}"), Contains(kYearly));
  EXPECT_THAT(names("", ", copy: {schedule: '@monthly'}"), Contains(kYearly));
  EXPECT_THAT(names("drill: {yearly: {repository: hot}}\n", ""), Contains(kYearly));
  EXPECT_THAT(names("", frozen), Not(Contains(kYearly)));
  EXPECT_THAT(names("drill: {yearly: {thaw: bulk}}\n", frozen), Contains(kYearly));
}

TEST_F(UnitsTest, HaveACanaryWhereItIsConfigured) {
  const auto units = [&](const std::string& more) {
    return make_units(
        load("cluster: small\n" + more + "repositories:\n  - {name: hot, url: \"file:///srv/b\"}\n")
            .config,
        kPlace);
  };
  constexpr const char* kService = "holdfast-small-canary.service";
  EXPECT_THAT(names_of(units("")), Not(Contains(kService)));
  const auto with = units("canary: {interval: 5s}\n");
  EXPECT_THAT(content_of(with, kService), AllOf(HasSubstr("canary\n"), HasSubstr("[Install]")));
  EXPECT_THAT(names_of(with), Not(Contains("holdfast-small-canary.timer")));
}

TEST_F(UnitsTest, SystemdTakesThem) {
  // Its check looks whether the program and the user are there.
  std::vector<std::string> verify{"systemd-analyze", "verify"};
  Config config = example();
  config.canary.interval = std::chrono::seconds(5);
  const std::vector<SystemdUnit> units = make_units(
      config,
      {.program = "/bin/true", .configuration = "/etc/a 'b' %c \"d\" $e.yaml", .user = "root"});
  const fs::path folder = made_folder();
  for (const SystemdUnit& unit : units) {
    test::write_text(folder / unit.name, unit.content);
    if (unit.name.find('@') == std::string::npos) verify.push_back((folder / unit.name).string());
  }
  verify.push_back((folder / "holdfast-main-failed@x.service").string());
  // It only warns of a key that it does not know; and it looks at the machine's own units as well.
  const test::Outcome outcome = test::run({.arguments = verify});
  std::istringstream said(outcome.out + outcome.err);
  for (std::string line; std::getline(said, line);) {
    EXPECT_EQ(line.find("holdfast-"), std::string::npos) << line;
  }
  for (const SystemdUnit& unit : units) {
    for (std::size_t at = 0; (at = unit.content.find("OnCalendar=", at)) != std::string::npos;) {
      at += std::string_view("OnCalendar=").size();
      const std::string time = unit.content.substr(at, unit.content.find('\n', at) - at);
      EXPECT_TRUE(test::run({.arguments = {"systemd-analyze", "calendar", time}}).ok()) << time;
    }
  }
}

TEST_F(UnitsTest, AreInstalledOverOursAndNeverOverOthers) {
  const fs::path folder = made_folder();
  const Config config = example();
  const std::vector<SystemdUnit> units = make_units(config, kPlace);
  EXPECT_EQ(install_units(config, units, folder).written, names_of(units));
  Config fewer = config;
  fewer.repositories[1].copy.schedule.clear();
  EXPECT_THAT(install_units(fewer, make_units(fewer, kPlace), folder).unwanted,
              ElementsAre("holdfast-main-copy-cold.service", "holdfast-main-copy-cold.timer"));
  EXPECT_THAT(install_units(config, units, folder).unwanted, IsEmpty());
  test::write_text(folder / "holdfast-main-drill.timer", "[Timer]\n");
  test::write_text(folder / "holdfast-main-backup.timer", units[1].content + "# more\n");
  try {
    install_units(config, units, folder);
    ADD_FAILURE() << "a foreign unit was replaced";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kRefused);
    EXPECT_THAT(error.object(), HasSubstr("holdfast-main-drill.timer"));
  }
  EXPECT_EQ(test::read_text(folder / "holdfast-main-drill.timer"), "[Timer]\n");
  EXPECT_THAT(test::read_text(folder / "holdfast-main-backup.timer"), HasSubstr("# more"));
}

// Repository "backup" of cluster "db", and the cluster "db-copy", have units of one name.
TEST_F(UnitsTest, AreNotTakenFromAnotherCluster) {
  const auto config_of = [&](const std::string& cluster) {
    return load("cluster: " + cluster +
                "\npostgres: {data_directory: /srv/pg}\nrepositories:\n"
                "  - {name: hot, url: \"file:///srv/a\"}\n"
                "  - {name: backup, url: \"file:///srv/b\", copy: {schedule: '@daily'}}\n")
        .config;
  };
  const Config first = config_of("db-copy"), second = config_of("db");
  const fs::path folder = made_folder();
  install_units(first, make_units(first, kPlace), folder);
  const std::string there = test::read_text(folder / "holdfast-db-copy-backup.service");
  try {
    install_units(second, make_units(second, kPlace), folder);
    ADD_FAILURE() << "the other cluster's unit was replaced";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kRefused);
    EXPECT_THAT(error.message(), HasSubstr("another cluster"));
    EXPECT_THAT(error.object(), HasSubstr("holdfast-db-copy-backup.service"));
  }
  EXPECT_EQ(test::read_text(folder / "holdfast-db-copy-backup.service"), there);
  EXPECT_FALSE(fs::exists(folder / "holdfast-db-verify.timer"));
  // Nor are the other's units called unwanted where the names do not meet.
  Config third = second;
  third.repositories.pop_back();
  EXPECT_THAT(install_units(third, make_units(third, kPlace), folder).unwanted, IsEmpty());
}

}  // namespace
}  // namespace holdfast
