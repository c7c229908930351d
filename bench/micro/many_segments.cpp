// Fills a repository with the archive of a server that has written WAL for weeks: many segments
// with their summaries but hardly any content, one backup in front of them, and roll-ups of all
// that are due. For measuring what looks at the whole archive.
//
//   many_segments --config FILE --segments N    the cluster is registered already: 'holdfast init'
#include <charconv>
#include <cstdio>
#include <string_view>

#include "app/config.h"
#include "app/open.h"
#include "core/parallel.h"
#include "repository/history.h"
#include "repository/outcome.h"
#include "repository/wal_listing.h"
#include "repository/wal_object.h"
#include "repository/wal_rollup.h"

namespace {

using namespace holdfast;

constexpr std::uint64_t kFirst = 1;
constexpr std::size_t kContentBytes = 64;
const Timestamp kBegin = *parse_rfc3339("2026-01-01T00:00:00Z");
constexpr TimelineId kTimeline{1};

Lsn at(const HistoryRecord& history, std::uint64_t number, std::uint64_t offset) {
  return {number * history.wal_segment_size.bytes + offset};
}

// One transaction in each segment, ten seconds after the one before.
SegmentIndex index_of(const HistoryRecord& history, std::uint64_t number) {
  const Timestamp time = kBegin + std::chrono::seconds(10 * number);
  const auto xid = static_cast<std::uint32_t>(1000 + number);
  const Lsn start = at(history, number, 0x1000), end = at(history, number, 0x1040);
  SegmentIndex index;
  index.summary = {.segment_start = at(history, number, 0),
                   .segment_size = history.wal_segment_size,
                   .major_version = history.postgres_version_num / 10000,
                   .first_record = at(history, number, 0x28),
                   .last_record = at(history, number, 0x2000),
                   .end = at(history, number, 0x2040),
                   .coverage = WalCoverage::kComplete,
                   .finished_count = 1,
                   .first_finished = CommitPoint{time, start, end},
                   .last_finished = CommitPoint{time, start, end},
                   .earliest = time,
                   .latest = time,
                   .oldest_xid = xid,
                   .newest_xid = xid};
  index.borders.previous_record = at(history, number - 1, 0x2000);
  index.transactions.push_back({.xid = xid, .time = time, .start = start, .end = end});
  return index;
}

void store_segment(const Repository& repository, const WalPlace& place,
                   const HistoryRecord& history, std::uint64_t number,
                   const std::stop_token& stop) {
  Compressor compressor({Compression::kZstd, 1});
  const std::string content = std::to_string(number) + std::string(kContentBytes, 'x');
  const WalPut put =
      put_wal(repository, place,
              {.identity = {.file = wal_file_of({kTimeline, number}, history.wal_segment_size),
                            .system_identifier = place.history.system_identifier,
                            .segment_size = history.wal_segment_size,
                            .bytes = history.wal_segment_size.bytes,
                            .content_bytes = content.size(),
                            .content = xxh3_128(as_bytes(content))},
               .index = pack_wal_index(compressor, index_of(history, number)),
               .content = pack_wal_content(compressor, as_bytes(content))},
              stop);
  if (put == WalPut::kOtherContent) {
    throw Error(ErrorKind::kRefused, "the repository has WAL already: use an empty one");
  }
}

// A commit record is all of a backup that a look at the archive reads.
void store_backup(const Repository& repository, const std::string& cluster,
                  const HistoryRecord& history, const std::stop_token& stop) {
  BackupInfo info;
  info.name = {cluster, history.name, {"20260101T000000Z-0001"}};
  info.standalone = false;
  info.timeline = kTimeline;
  info.start_lsn = at(history, kFirst, 0x28);
  info.stop_lsn = at(history, kFirst, 0x3000);
  info.start_time = info.stop_time = kBegin;
  info.wal_segment_size = history.wal_segment_size;
  info.postgres_version_num = history.postgres_version_num;
  info.owners = {{}};
  commit_backup(repository,
                {.committed = true,
                 .time = to_rfc3339_seconds(kBegin),
                 .by = "many_segments",
                 .info = info,
                 .manifest_bytes = 1,
                 .manifest_sha256 = std::string(64, '0')},
                stop);
}

void fill(const std::string& configuration, std::uint64_t segments) {
  const std::stop_token stop;
  const Config config = load_config({.file = configuration}).config;
  const auto repository = open_repository(config.repositories.front(), stop);
  const HistoryRecord history = list_histories(*repository, config.cluster, stop).at(0);
  const WalPlace place{config.cluster, history.name};
  const std::size_t threads = repository->store().capabilities().parallel_requests;
  parallel_for(segments, threads, stop, [&](std::size_t i, const std::stop_token& inner) {
    store_segment(*repository, place, history, kFirst + i, inner);
  });
  store_backup(*repository, config.cluster, history, stop);
  const auto listing = list_wal(*repository, place, history.wal_segment_size, stop);
  const std::size_t rolled_up = write_due_rollups(*repository, listing, segments, stop);
  std::printf("%llu segments, %zu roll-ups\n", static_cast<unsigned long long>(segments),
              rolled_up);
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string_view> given(words + 1, words + count);
  std::uint64_t segments = 0;
  if (given.size() == 4 && given[0] == "--config" && given[2] == "--segments") {
    std::from_chars(given[3].data(), given[3].data() + given[3].size(), segments);
  }
  if (segments == 0) {
    std::fprintf(stderr, "usage: many_segments --config FILE --segments N\n");
    return 2;
  }
  try {
    fill(std::string(given[1]), segments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "many_segments: %s\n", error.what());
    return 1;
  }
}
