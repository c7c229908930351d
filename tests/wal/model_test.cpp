// Several writers at once, of everything that WAL has a record for; restores to random targets must
// give exactly what was committed up to there, in the order that pg_waldump tells.
#include <algorithm>
#include <array>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "support/archived_cluster.h"
#include "targets.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr int kWriters = 3;

// The end of a transaction, as the server wrote it.
struct Ended {
  bool committed = false;
  std::string xid;
  std::string lsn;   // of the record
  std::string time;  // UTC, to the microsecond: sorts as text
};

std::vector<Ended> ends_in_wal(const PostgresCluster& server, const std::string& start_lsn) {
  const std::string wal = (server.data_directory() / "pg_wal").string();
  const fs::path program = server.programs().bin_directory / "pg_waldump";
  const Outcome said =
      run({.arguments =
               as_server_user({program.string(), "-p", wal, "-s", start_lsn, "-r", "Transaction"}),
           .environment = {{"TZ", "UTC"}, {"LC_ALL", "C"}}});
  // "…, tx: 735, lsn: 0/0151E7A0, prev …, desc: COMMIT_PREPARED 736: 2026-11-22 10:00:00.5 UTC; …"
  const std::regex form(
      R"(tx: +(\d+), lsn: ([0-9A-F/]+),.* desc: (COMMIT|ABORT)(_PREPARED (\d+):)? )"
      R"((\d+-\d+-\d+ \d+:\d+:\d+\.\d+) UTC)");
  std::vector<Ended> ends;
  std::istringstream lines(said.out);
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_search(line, match, form)) continue;
    ends.push_back(
        {match[3] == "COMMIT", match[5].matched ? match[5] : match[1], match[2], match[6]});
  }
  EXPECT_GT(ends.size(), 10U) << said.err;
  return ends;
}

class ConcurrentWriters : public testing::TestWithParam<ServerPrograms> {
 protected:
  ConcurrentWriters()
      : archived_({.settings = {"wal_keep_size = 2GB", "max_wal_size = 2GB", "max_connections = 30",
                                "allow_in_place_tablespaces = on"},
                   .programs = GetParam()}) {
    const fs::path place = archived_.holdfast().new_path("space");
    fs::create_directory(place);
    give_to_server_user(place);
    server().sql(fmt::format("create tablespace outside location '{}'", place.string()));
    server().sql(
        "create table numbered (w int, n int, xid text default pg_current_xact_id()::text, "
        "object oid, primary key (w, n)); "
        "create unlogged table forgotten (n int)");
    for (int w = 0; w < kWriters; ++w) {
      server().sql(fmt::format("create table latest{} (n int) {}; insert into latest{} values (0)",
                               w, w == 0 ? "tablespace outside" : "", w));
    }
  }
  PostgresCluster& server() { return archived_.server(); }

  void write(int transactions, unsigned seed) {
    std::vector<std::jthread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([this, w, transactions, seed] {
        std::mt19937 random(seed + static_cast<unsigned>(w));
        for (int i = 0; i < transactions; ++i) write_one(w, random);
      });
    }
  }

  // What is in the row belongs to the transaction, whatever else that does.
  void write_one(int w, std::mt19937& random) {
    const int n = ++last_[static_cast<std::size_t>(w)];
    const int kind = static_cast<int>(random() % 11);
    const std::string row = fmt::format("insert into numbered values ({}, {}); ", w, n);
    const std::string latest = fmt::format("update latest{} set n = {}; ", w, n);
    const std::string name = fmt::format("{}_{}", w, n);
    switch (kind) {
      case 0:  // subtransactions, rolled back and kept
        server().sql(
            fmt::format("begin; {0}savepoint a; insert into numbered values ({1}, -{2}); "
                        "rollback to a; savepoint b; {3}release b; commit",
                        row, w, n, latest));
        break;
      case 1:  // prepared, and one that is rolled back
        server().sql(fmt::format("begin; {}{}prepare transaction 'kept{}'", row, latest, name));
        server().sql(
            fmt::format("begin; insert into numbered values ({}, -{}); prepare "
                        "transaction 'gone{}'",
                        w, n, name));
        server().sql(fmt::format("rollback prepared 'gone{}'", name));
        server().sql(fmt::format("commit prepared 'kept{}'", name));
        break;
      case 2:
        server().sql(
            fmt::format("begin; {0}truncate latest{1}; insert into latest{1} values ({2}); "
                        "commit",
                        row, w, n));
        break;
      case 3:
        server().sql(fmt::format("begin; {}{}commit", row, latest));
        server().sql(fmt::format("vacuum full latest{}", w));
        break;
      case 4:  // an index, and a table that is dropped
        server().sql(
            fmt::format("begin; {0}{1}create table t{2} as select generate_series(1, 500) "
                        "g; create index on t{2} (g); drop table t{2}; create table kept{2} "
                        "as select generate_series(1, 500) g; create index on kept{2} (g); "
                        "commit",
                        row, latest, name));
        break;
      case 5:  // a large object, and an unlogged row
        server().sql(
            fmt::format("begin; insert into numbered (w, n, object) values ({}, {}, "
                        "lo_from_bytea(0, convert_to(repeat('{}', 3000), 'UTF8'))); {}insert "
                        "into forgotten values ({}); commit",
                        w, n, name, latest, n));
        break;
      case 6:
        server().sql(fmt::format("begin; {}{}commit", row, latest));
        server().sql(fmt::format("create database db{}{}", name, strategy(n)));
        break;
      case 7:
        server().sql(fmt::format("begin; {}{}commit", row, latest));
        server().sql(fmt::format("create tablespace s{} location ''", name));
        server().sql(fmt::format("create table moved{0} tablespace s{0} as select 1 a", name));
        break;
      default:  // rolled back as a whole, then done
        server().sql(
            fmt::format("begin; {}{}rollback; begin; {}{}commit", row, latest, row, latest));
    }
  }

  static std::string strategy(int n) {
    if (GetParam().major_version < 15) return "";  // there was one only
    return fmt::format(" strategy = {}", n % 2 == 0 ? "wal_log" : "file_copy");
  }

  // What is there when exactly the transactions of `committed`, and those from before, are.
  // Rows, databases and tablespaces each name the transaction that they are of.
  std::string content(const PostgresCluster& cluster, const std::set<std::string>& not_yet) {
    std::string text;
    for (const auto& row :
         cluster.rows("select 'row ' || w || ' ' || n, xid from numbered union all "
                      "select 'database ' || datname, xmin::text from pg_database "
                      "where datname like 'db%' union all "
                      "select 'tablespace ' || spcname, xmin::text from pg_tablespace "
                      "where spcname like 's%' order by 1")) {
      if (!not_yet.contains(row.at(1))) text += row.at(0) + "\n";
    }
    return text;
  }

  void expect_sound(const PostgresCluster& restored) {
    EXPECT_EQ(restored.sql("select count(*) from numbered where n < 1"), "0");
    for (int w = 0; w < kWriters; ++w) {
      EXPECT_EQ(
          restored.sql(fmt::format("select n from latest{}", w)),
          restored.sql(fmt::format("select coalesce(max(n), 0) from numbered where w = {}", w)))
          << w;
    }
    EXPECT_EQ(restored.sql("select count(*) from forgotten"), "0");
    EXPECT_EQ(restored.sql("select count(*) from numbered where object is not null and "
                           "lo_get(object) <> convert_to(repeat(w || '_' || n, 3000), 'UTF8')"),
              "0");
    const std::string rows = "select count(*) from numbered where w = 1 and n > 0";
    EXPECT_EQ(restored.sql("set enable_seqscan = off; set enable_bitmapscan = off; " + rows),
              restored.sql("set enable_indexscan = off; set enable_indexonlyscan = off; "
                           "set enable_bitmapscan = off; " +
                           rows));
    // Every table can be read, also in the databases and tablespaces that were made.
    restored.sql(
        "do $$ declare t text; begin for t in select c.oid::regclass::text from pg_class c where "
        "relkind = 'r' and relname ~ '^(kept|moved)' loop execute 'select count(*) from ' || t; "
        "end loop; end $$");
  }

  void expect_recovered(const std::vector<std::string>& options,
                        const std::set<std::string>& not_yet) {
    const std::string expected = content(server(), not_yet);
    const fs::path target = archived_.holdfast().new_path();
    std::vector<std::string> words = options;
    words.insert(words.end(), {"--tablespaces-under", target.string() + "-spaces"});
    archived_.holdfast().restore(target, words);
    PostgresCluster restored = start_recovered(target, GetParam());
    // At its target a transaction may be under way that has locked a table: promotion ends it.
    if (restored.sql("select pg_is_in_recovery()") == "t") {
      restored.sql("select pg_wal_replay_resume()");
      restored.wait_for("not pg_is_in_recovery()");
    }
    EXPECT_EQ(content(restored, {}), expected);
    expect_sound(restored);
    restored.stop(PostgresCluster::Shutdown::kImmediate);
    fs::remove_all(target);
    fs::remove_all(target.string() + "-spaces");
  }

  // The transactions that a recovery to this end, of this kind, does not come to.
  static std::set<std::string> behind(const std::vector<Ended>& ends, std::size_t target,
                                      int kind) {
    std::size_t stop = target + 1;
    if (kind == 3) stop = target;
    if (kind < 2) {  // at the first record that is later, or as late
      const std::string& time = ends[target].time;
      stop = static_cast<std::size_t>(std::ranges::find_if(ends,
                                                           [&](const Ended& end) {
                                                             return kind == 0 ? end.time > time
                                                                              : end.time >= time;
                                                           }) -
                                      ends.begin());
    }
    std::set<std::string> xids;
    for (; stop < ends.size(); ++stop) {
      if (ends[stop].committed) xids.insert(ends[stop].xid);
    }
    return xids;
  }
  static std::vector<std::string> options(const Ended& end, int kind) {
    switch (kind) {
      case 0:
        return {"--target-time", end.time + "+00"};
      case 1:
        return {"--target-time", end.time + "+00", "--target-exclusive"};
      case 2:
        return {"--target-xid", end.xid};
      case 3:
        return {"--target-xid", end.xid, "--target-exclusive"};
      default:
        return {"--target-lsn", end.lsn};
    }
  }

  ArchivedCluster archived_;
  std::array<int, kWriters> last_{};
};

TEST_P(ConcurrentWriters, RandomTargetsGiveExactlyWhatWasCommittedUpToThem) {
  const char* const given = std::getenv("HOLDFAST_TEST_SEED");
  const unsigned seed = given == nullptr ? std::random_device{}()
                                         : static_cast<unsigned>(std::strtoull(given, nullptr, 10));
  SCOPED_TRACE(fmt::format("HOLDFAST_TEST_SEED={}", seed));
  const int transactions = is_wide_run() ? 60 : 8;
  write(transactions, seed);
  std::string start, stop;
  {
    std::jthread beside([&] { write(transactions, seed + 100); });
    const Json first = archived_.holdfast().backup();
    start = first.at("start_lsn");
    stop = first.at("stop_lsn");
  }
  write(transactions, seed + 200);
  archived_.holdfast().backup();
  write(transactions, seed + 300);
  archived_.archive();

  const std::vector<Ended> ends = ends_in_wal(server(), start);
  std::vector<std::size_t> candidates;
  for (std::size_t i = 0; i + 5 < ends.size(); ++i) {
    const bool behind_backup =
        server().sql(fmt::format("select '{}'::pg_lsn >= '{}'", ends[i].lsn, stop)) == "t";
    if (ends[i].committed && behind_backup) candidates.push_back(i);
  }
  ASSERT_GT(candidates.size(), 10U);
  std::mt19937 random(seed);
  const int rounds = rounds_of_targets();
  for (int round = 0; round < rounds; ++round) {
    for (const int kind : kinds_of_targets(5, GetParam())) {
      const std::size_t target = candidates[1 + random() % (candidates.size() - 1)];
      SCOPED_TRACE(fmt::format("kind {}, xid {}, lsn {}, time {}", kind, ends[target].xid,
                               ends[target].lsn, ends[target].time));
      expect_recovered(options(ends[target], kind), behind(ends, target, kind));
    }
  }
  expect_recovered({}, {});
}

INSTANTIATE_TEST_SUITE_P(Version, ConcurrentWriters, testing::ValuesIn(available_servers()),
                         [](const auto& given) {
                           return "Pg" + std::to_string(given.param.major_version);
                         });

}  // namespace
}  // namespace holdfast::test
