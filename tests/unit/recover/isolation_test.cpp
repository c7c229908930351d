// The settings of an isolated server that is read while it recovers: as cut off as any other.
#include "recover/isolation.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using Settings = std::map<std::string, std::string>;

Settings settings_of(const IsolationPlace& place) {
  Settings settings;
  for (const auto& [name, value] : isolation_settings(place)) {
    EXPECT_TRUE(settings.emplace(name, value).second) << name << " is there twice";
  }
  return settings;
}

constexpr StandbySettings kLarge{.max_connections = 500,
                                 .max_worker_processes = 32,
                                 .max_wal_senders = 20,
                                 .max_prepared_transactions = 2000,
                                 .max_locks_per_transaction = 256};

class IsolationOf : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Versions, IsolationOf, testing::Range(13, 19));

TEST_P(IsolationOf, AReadableServerDiffersOnlyInWhatItNeedsForThat) {
  IsolationPlace place{.major_version = GetParam(), .data_directory = "/d", .folder = "/f"};
  Settings hidden = settings_of(place);
  place.readable = kLarge;
  Settings readable = settings_of(place);
  EXPECT_EQ(readable.at("hot_standby"), "on");
  EXPECT_EQ(readable.at("max_connections"), "500");
  EXPECT_EQ(readable.at("max_worker_processes"), "32");
  EXPECT_EQ(readable.at("max_wal_senders"), "20");
  EXPECT_EQ(readable.at("max_prepared_transactions"), "2000");
  EXPECT_EQ(readable.at("max_locks_per_transaction"), "256");
  for (Settings* settings : {&hidden, &readable}) {
    for (const char* name :
         {"hot_standby", "max_connections", "max_worker_processes", "max_wal_senders",
          "max_prepared_transactions", "max_locks_per_transaction"}) {
      EXPECT_EQ(settings->erase(name), 1U) << name;
    }
  }
  readable.erase("wal_retrieve_retry_interval");
  EXPECT_EQ(hidden, readable);
}

// Of each version only what it knows: PostgreSQL does not start on another one.
TEST_P(IsolationOf, AsksForLittleAndLooksAtDamage) {
  const Settings settings = settings_of(
      {.major_version = GetParam(), .data_directory = "/d", .folder = "/f", .readable = kLarge});
  EXPECT_EQ(settings.at("unix_socket_group"), "");
  EXPECT_EQ(settings.at("wal_buffers"), "-1");
  EXPECT_EQ(settings.at("zero_damaged_pages"), "off");
  EXPECT_EQ(settings.at("ignore_checksum_failure"), "off");
  EXPECT_EQ(settings.contains("min_dynamic_shared_memory"), GetParam() >= 14);
  EXPECT_EQ(settings.contains("archive_library"), GetParam() >= 15);
  EXPECT_EQ(settings.contains("summarize_wal"), GetParam() >= 17);
  EXPECT_EQ(settings.at("max_wal_size"), "2GB");
  EXPECT_EQ(settings.at("wal_keep_size"), "0");
  EXPECT_EQ(settings.contains("debug_io_direct"), GetParam() >= 16);
  EXPECT_EQ(settings.contains("transaction_buffers"), GetParam() >= 17);
  EXPECT_EQ(settings.contains("io_method"), GetParam() >= 18);
  EXPECT_EQ(settings.contains("max_active_replication_origins"), GetParam() >= 18);
  EXPECT_EQ(settings.contains("oauth_validator_libraries"), GetParam() >= 18);
  const std::string session = isolated_session_options(GetParam());
  for (const char* option : {"-c zero_damaged_pages=off", "-c ignore_checksum_failure=off"}) {
    EXPECT_NE(session.find(option), std::string::npos) << session;
  }
}

TEST(StandbySettings, CoverWhatIsNotLargerAnywhere) {
  StandbySettings least = kLarge;
  EXPECT_TRUE(covers(kLarge, least));
  for (int StandbySettings::* member :
       {&StandbySettings::max_connections, &StandbySettings::max_worker_processes,
        &StandbySettings::max_wal_senders, &StandbySettings::max_prepared_transactions,
        &StandbySettings::max_locks_per_transaction}) {
    least = kLarge;
    ++(least.*member);
    EXPECT_FALSE(covers(kLarge, least));
    EXPECT_TRUE(covers(least, kLarge));
  }
}

}  // namespace
}  // namespace holdfast
