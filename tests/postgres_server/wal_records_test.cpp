// WAL records and segment indexes, held to what pg_waldump says of the same WAL, to the pages that
// the server has changed, and to what the catalogue says of the files.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "postgres/page.h"
#include "repository/wal_border.h"
#include "server_test.h"
#include "wal_workload.h"

namespace holdfast {
namespace {

using std::filesystem::path;
using test::Done;
using test::number;
using test::PostgresCluster;
using test::Workload;

// One line of pg_waldump, and one record of ours, in the same words.
std::string describe(const WalRecord& record) {
  std::string text =
      fmt::format("{} tx {} lsn {} prev {} length {}", record.manager, record.xid,
                  to_string(record.start), to_string(record.previous), record.length);
  for (const WalBlock& block : record.blocks()) {
    text +=
        fmt::format(" {}/{}/{} fork {} block {}{}", block.file.tablespace, block.file.database,
                    block.file.relation, block.fork, block.block, block.has_image ? " image" : "");
  }
  return text;
}

int manager_number(const std::string& name) {
  static const std::vector<std::string> kNames{
      "XLOG",       "Transaction",   "Storage", "CLOG",     "Database",
      "Tablespace", "MultiXact",     "RelMap",  "Standby",  "Heap2",
      "Heap",       "Btree",         "Hash",    "Gin",      "Gist",
      "Sequence",   "SPGist",        "BRIN",    "CommitTs", "ReplicationOrigin",
      "Generic",    "LogicalMessage"};
  return static_cast<int>(std::ranges::find(kNames, name) - kNames.begin());
}

std::string describe_block(const char* text) {
  unsigned tablespace = 0, database = 0, relation = 0, block = 0;
  int end = 0;
  char fork[8] = "main";
  if (std::sscanf(text, "%u/%u/%u blk %u%n", &tablespace, &database, &relation, &block, &end) < 4 &&
      std::sscanf(text, "%u/%u/%u fork %7s blk %u%n", &tablespace, &database, &relation, fork,
                  &block, &end) < 5) {
    return fmt::format(" not understood: {}", text);
  }
  static const std::map<std::string, int> kForks{{"main", 0}, {"fsm", 1}, {"vm", 2}, {"init", 3}};
  const bool image = std::string_view(text + end).starts_with(" FPW");
  return fmt::format(" {}/{}/{} fork {} block {}{}", tablespace, database, relation,
                     kForks.at(fork), block, image ? " image" : "");
}

std::string describe_line(const std::string& line) {
  char manager[32] = "";
  unsigned length = 0, xid = 0;
  std::uint64_t high = 0, low = 0, previous_high = 0, previous_low = 0;
  if (std::sscanf(line.c_str(),
                  "rmgr: %31s len (rec/tot): %*u/ %u, tx: %u, lsn: %lX/%lX, prev %lX/%lX", manager,
                  &length, &xid, &high, &low, &previous_high, &previous_low) < 7) {
    return "not understood: " + line;
  }
  std::string text = fmt::format("{} tx {} lsn {} prev {} length {}", manager_number(manager), xid,
                                 to_string(Lsn{high << 32U | low}),
                                 to_string(Lsn{previous_high << 32U | previous_low}), length);
  constexpr std::string_view kBlock = ": rel ";
  for (auto at = line.find("blkref #"); at != std::string::npos; at = line.find("blkref #", at)) {
    at = line.find(kBlock, at) + kBlock.size();
    text += describe_block(line.c_str() + at);
  }
  return text;
}

struct Segment {
  SegmentName name;
  Bytes bytes;
};

// The segments of a timeline in pg_wal, up to the first that holds nothing of it.
std::vector<Segment> segments_of(const PostgresCluster& cluster, WalSegmentSize size,
                                 TimelineId timeline = {1}) {
  std::map<SegmentName, path> found;
  for (const auto& entry :
       std::filesystem::directory_iterator(cluster.data_directory() / "pg_wal")) {
    const auto name = parse_segment_name(entry.path().filename().string(), size);
    if (name && name->timeline == timeline) found.emplace(*name, entry.path());
  }
  std::vector<Segment> segments;
  for (const auto& [name, file] : found) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream content;
    content << in.rdbuf();
    Segment segment{name, to_bytes(as_bytes(content.str()))};
    const auto header = parse_wal_segment_header(segment.bytes);
    if (!header || header->address != start_of(name, size)) break;  // made ready for later
    segments.push_back(std::move(segment));
  }
  return segments;
}

// All records, those over segments' borders put together.
std::vector<std::string> read_records(const std::vector<Segment>& segments, WalSegmentSize size) {
  std::vector<std::string> lines;
  WalTail open;
  for (const Segment& segment : segments) {
    WalReader reader(in_memory(segment.bytes), segment.name, size);
    std::vector<std::string> own;
    while (const WalRecord* const record = reader.next()) {
      EXPECT_TRUE(record->decoded) << describe(*record);
      own.push_back(describe(*record));
    }
    const Bytes& head = reader.head().bytes;
    open.bytes.insert(open.bytes.end(), head.begin(), head.end());
    if (reader.head().state == WalHead::State::kGoesOn) continue;
    if (reader.head().state == WalHead::State::kComplete && open.start.valid()) {
      EXPECT_TRUE(has_valid_wal_crc(open.bytes)) << to_string(open.start);
      WalRecord joined;
      decode_wal_record(open.bytes, reader.major_version(), joined);
      joined.start = open.start;
      lines.push_back(describe(joined));
    }
    lines.insert(lines.end(), own.begin(), own.end());
    open = reader.tail();
  }
  return lines;
}

std::vector<std::string> dumped_records(const PostgresCluster& cluster,
                                        const std::vector<Segment>& segments, WalSegmentSize size) {
  const auto outcome = test::run(
      {.arguments = test::as_server_user(
           {(cluster.programs().bin_directory / "pg_waldump").string(), "-p",
            (cluster.data_directory() / "pg_wal").string(), "-t",
            std::to_string(segments.back().name.timeline.value),
            to_string(segments.front().name, size), to_string(segments.back().name, size)}),
       .environment = {{"LC_ALL", "C"}}});
  std::vector<std::string> lines;
  std::istringstream out(outcome.out);
  for (std::string line; std::getline(out, line);) {
    if (line.starts_with("rmgr: ")) lines.push_back(describe_line(line));
  }
  return lines;
}

void expect_same(const std::vector<std::string>& got, const std::vector<std::string>& expected) {
  const auto [ours, theirs] = std::ranges::mismatch(got, expected);
  if (ours == got.end() && theirs == expected.end()) return;
  FAIL() << "record " << (ours - got.begin()) << " of " << got.size() << ", pg_waldump has "
         << expected.size() << "\n  " << (ours == got.end() ? "none" : *ours) << "\n  "
         << (theirs == expected.end() ? "none" : *theirs);
}

// Everything that the indexes of the segments, and the borders between them, say.
SegmentIndex index_all(const std::vector<Segment>& segments, WalSegmentSize size) {
  SegmentIndex all;
  WalBorders borders;
  for (const Segment& segment : segments) {
    const SegmentIndex index = index_segment(in_memory(segment.bytes), segment.name, size);
    EXPECT_EQ(decode_index(encode_index(index)), index);
    const bool is_last = segment.name == segments.back().name;
    EXPECT_EQ(index.summary.coverage, is_last ? WalCoverage::kEndsEarly : WalCoverage::kComplete)
        << to_string(index.summary.coverage_at) << " " << index.summary.coverage_reason;
    const WalBorder border = borders.add(index);
    EXPECT_NE(border.state, WalBorder::State::kUnproven) << border.reason;
    SegmentIndex later = index;
    add_border_record(later, border.record);
    add_border_record(later, all);
    all = std::move(later);
  }
  return all;
}

struct Setup {
  test::ServerPrograms programs;
  int segment_mib;
};

void PrintTo(const Setup& setup, std::ostream* out) {
  *out << setup.programs.bin_directory << " " << setup.segment_mib;
}

std::vector<Setup> setups() {
  std::vector<Setup> all;
  for (const test::ServerPrograms& programs : test::available_servers()) {
    for (const int mib : {1, 16}) all.push_back({programs, mib});
  }
  return all;
}

// The server ran the workload, crashed, recovered, and was shut down.
struct Ran {
  explicit Ran(const Setup& setup)
      : size{static_cast<std::uint32_t>(setup.segment_mib) << 20U},
        cluster({.programs = setup.programs,
                 .wal_segment_mib = setup.segment_mib,
                 .settings = {"max_prepared_transactions = 10", "wal_keep_size = 4GB",
                              "max_wal_size = 4GB", "autovacuum = off"}}) {
    std::filesystem::create_directories(spaces / "s");
    test::give_to_server_user(spaces.path());
    cluster.start();
    done = Workload(cluster, spaces / "s").run();
    cluster.kill();
    cluster.start();
    cluster.sql("insert into a (t) values ('after the crash')");
    cluster.stop();
    segments = segments_of(cluster, size);
  }

  WalSegmentSize size;
  test::TempFolder spaces;
  PostgresCluster cluster;
  Done done;
  std::vector<Segment> segments;
};

class TheWal : public testing::TestWithParam<Setup> {
 protected:
  static const Ran& ran() {
    static std::map<std::pair<int, int>, Ran> all;  // the tests only read
    const std::pair key{GetParam().programs.major_version, GetParam().segment_mib};
    return all.try_emplace(key, GetParam()).first->second;
  }
};
INSTANTIATE_TEST_SUITE_P(Setup, TheWal, testing::ValuesIn(setups()), [](const auto& tested) {
  return fmt::format("PostgreSQL{}_{}MiB", tested.param.programs.major_version,
                     tested.param.segment_mib);
});

using Kind = WalFileEvent::Kind;

struct Wanted {
  Kind kind;
  RelationFile file;
};

std::vector<Wanted> wanted_events(const Done& done, int version) {
  std::vector<Wanted> wanted{
      {Kind::kCreate, done.created},
      {Kind::kCreate, done.unlogged},
      {Kind::kTruncate, done.cut},
      {Kind::kDrop, done.dropped},
      {Kind::kDrop, done.truncated},
      {Kind::kDrop, done.prepared},
      {Kind::kDrop, done.rewritten},
      {Kind::kCreate, done.prepared},
      {Kind::kDatabaseCopied, {done.tablespace, done.copied, 0}},
      {Kind::kDatabaseCopied, {1663, done.copied, 0}},
      {Kind::kDatabaseDropped, {done.tablespace, done.copied, 0}},
      {Kind::kDatabaseDropped, {1663, done.copied, 0}},
      {Kind::kTablespaceCreated, {done.tablespace, 0, 0}},
      {Kind::kTablespaceDropped, {done.tablespace, 0, 0}},
      {Kind::kRelationMap, {1663, done.database, 0}},
  };
  if (version >= 15) wanted.push_back({Kind::kDatabaseCreated, {1663, done.logged, 0}});
  return wanted;
}

void expect_events(const SegmentIndex& all, const Done& done, int version) {
  for (const auto& [kind, file] : wanted_events(done, version)) {
    const bool found = std::ranges::any_of(all.file_events, [&](const WalFileEvent& event) {
      return event.kind == kind && event.file == file && event.start >= done.before;
    });
    EXPECT_TRUE(found) << "kind " << static_cast<int>(kind) << " of " << file.tablespace << "/"
                       << file.database << "/" << file.relation;
  }
  for (const WalFileEvent& event : all.file_events) {
    if (event.kind == Kind::kTablespaceCreated) {
      EXPECT_EQ(event.path, done.tablespace_folder.string());
    }
    if (event.kind == Kind::kTruncate && event.file == done.cut) {
      EXPECT_EQ(event.blocks, 1U);
      EXPECT_EQ(event.truncated, 7);
    }
  }
  EXPECT_TRUE(std::ranges::any_of(all.file_events, [&](const WalFileEvent& event) {
    return event.kind == Kind::kCreate && event.file == done.unlogged && event.fork == kInitFork;
  }));
}

const FinishedTransaction* find(const SegmentIndex& all, std::uint32_t xid) {
  const auto at = std::ranges::find(all.transactions, xid, &FinishedTransaction::xid);
  return at == all.transactions.end() ? nullptr : &*at;
}

TEST_P(TheWal, IsWhatTheServerSaysItDid) {
  const SegmentIndex all = index_all(ran().segments, ran().size);
  expect_events(all, ran().done, GetParam().programs.major_version);
  using Finished = FinishedTransaction;
  const Finished* const prepared = find(all, ran().done.prepared_xid);
  ASSERT_NE(prepared, nullptr);
  EXPECT_EQ(prepared->kind, Finished::Kind::kPrepared);
  EXPECT_EQ(prepared->outcome, Finished::Outcome::kCommitted);
  const Finished* const committed = find(all, ran().done.committed_xid);
  ASSERT_NE(committed, nullptr);
  EXPECT_EQ(committed->kind, Finished::Kind::kOrdinary);
  EXPECT_EQ(committed->outcome, Finished::Outcome::kCommitted);
  const Finished* const rolled_back = find(all, ran().done.rolled_back_xid);
  ASSERT_NE(rolled_back, nullptr);
  EXPECT_EQ(rolled_back->outcome, Finished::Outcome::kAborted);
  EXPECT_TRUE(std::ranges::any_of(all.file_events, [&](const WalFileEvent& event) {
    return event.kind == Kind::kDrop && event.start == rolled_back->start;
  })) << "what it had created is gone";
  for (const Finished& finished : all.transactions) {
    EXPECT_LT(finished.start, finished.end);
    EXPECT_GT(finished.time, *parse_rfc3339("2020-01-01T00:00:00Z"));
  }
  ASSERT_EQ(all.summary.restore_points.size(), 1U);
  EXPECT_EQ(all.summary.restore_points[0].name, "the point");
  EXPECT_EQ(all.summary.restore_points[0].end, ran().done.restore_point);
  EXPECT_GE(all.summary.checkpoints.size(), 3U);
  EXPECT_EQ(all.summary.checkpoints.back().kind, WalCheckpoint::Kind::kShutdown);
  EXPECT_TRUE(all.summary.checkpoints.back().full_page_writes);
  EXPECT_EQ(all.summary.checkpoints.back().start, all.summary.checkpoints.back().redo);
}

TEST_P(TheWal, NamesEveryPageThatChanged) {
  const SegmentIndex all = index_all(ran().segments, ran().size);
  std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>> named;  // main forks
  for (const RelationBlocks& relation : all.blocks) {
    if (relation.fork != kMainFork) continue;
    for (const BlockRun& run : relation.runs) {
      for (std::uint32_t i = 0; i < run.count; ++i) {
        named.emplace(relation.file.database, relation.file.relation, run.first + i);
      }
    }
  }
  std::size_t changed = 0;
  const auto look_into = [&](const path& folder, std::uint32_t database) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      // Unlogged: after a crash it is a copy of its init fork, which WAL names.
      if (std::filesystem::exists(entry.path().string() + "_init")) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      Bytes page(8192);
      for (std::uint32_t block = 0; in.read(reinterpret_cast<char*>(page.data()), 8192); ++block) {
        const Lsn lsn{std::uint64_t{load_le<std::uint32_t>(page.data())} << 32U |
                      load_le<std::uint32_t>(page.data() + 4)};
        if (lsn <= ran().done.before) continue;
        ++changed;
        EXPECT_TRUE(named.contains({database, number(name), block}))
            << entry.path() << " block " << block << " at " << to_string(lsn);
      }
    }
  };
  look_into(ran().cluster.data_directory() / "global", 0);
  for (const auto& entry :
       std::filesystem::directory_iterator(ran().cluster.data_directory() / "base")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos) look_into(entry, number(name));
  }
  EXPECT_GT(changed, 300U);
}

TEST_P(TheWal, IsReadAsPgWaldumpReadsIt) {
  if (!GetParam().programs.has("pg_waldump")) return;  // npm's servers have none
  const std::vector<std::string> expected =
      dumped_records(ran().cluster, ran().segments, ran().size);
  ASSERT_GT(expected.size(), 20'000U);
  ASSERT_GT(ran().segments.size(), GetParam().segment_mib == 1 ? 10U : 1U);
  expect_same(read_records(ran().segments, ran().size), expected);
}

class ANewTimeline : public test::EveryServer {};
HF_FOR_EVERY_SERVER(ANewTimeline);

// Its first segment begins with the old timeline's records, and its borders hold on both lines.
TEST_P(ANewTimeline, IsReadFromItsFirstSegment) {
  if (!GetParam().has("pg_basebackup")) return;  // npm's servers have none
  PostgresCluster primary({.programs = GetParam(),
                           .wal_segment_mib = 1,
                           .settings = {"wal_keep_size = 1GB", "autovacuum = off"}});
  primary.start();
  primary.sql("create table a as select i, repeat('x', 100) t from generate_series(1, 9000) i");
  PostgresCluster standby = PostgresCluster::standby_of(primary, {"wal_keep_size = 1GB"});
  standby.start();
  primary.sql("insert into a select i, 'y' from generate_series(1, 9000) i");
  standby.wait_for("(select count(*) from a) = 18000");
  primary.stop();
  standby.promote();
  standby.sql("insert into a select i, 'z' from generate_series(1, 30000) i");
  standby.stop();
  constexpr WalSegmentSize kSize{1U << 20U};
  const std::vector<Segment> ahead = segments_of(standby, kSize, {2});
  ASSERT_GT(ahead.size(), 2U);
  if (GetParam().has("pg_waldump")) {
    expect_same(read_records(ahead, kSize), dumped_records(standby, ahead, kSize));
  }
  const SegmentIndex all = index_all(ahead, kSize);
  ASSERT_EQ(all.summary.recovery_ends.size(), 1U);
  EXPECT_EQ(all.summary.recovery_ends[0].timeline, TimelineId{2});
  EXPECT_EQ(all.summary.recovery_ends[0].previous_timeline, TimelineId{1});

  // The last segment of the old timeline before the fork, and the first of the new one.
  WalBorders borders;
  for (const Segment& segment : segments_of(primary, kSize)) {
    if (segment.name.number + 1 != ahead.front().name.number) continue;
    borders.add(index_segment(in_memory(segment.bytes), segment.name, kSize));
  }
  const SegmentIndex first =
      index_segment(in_memory(ahead.front().bytes), ahead.front().name, kSize);
  const WalBorder border = borders.add(first);
  EXPECT_EQ(border.state, WalBorder::State::kProven) << border.reason;
  EXPECT_LT(first.summary.first_record, all.summary.recovery_ends[0].start);
}

}  // namespace
}  // namespace holdfast
