// What proves that WAL names every change: where an index is missing, damaged, replaced or does not
// understand its segment, everything is read and compared, and the backup says why.
#include <functional>

#include <fmt/format.h>

#include "postgres/crc32c.h"
#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
const std::vector<std::string> kNothing;

// Overwrites it without another inode, owner or mode.
void put_in_place(const fs::path& object, const std::string& content) {
  fs::permissions(object, fs::perms::owner_write, fs::perm_options::add);
  write_text(object, content);
}

class Proof : public testing::Test {
 protected:
  Proof() {
    server().sql(
        "create table kept (n int primary key, t text);"
        "insert into kept select i, repeat('x', 100) from generate_series(1, 20000) i");
    server().sql("vacuum kept");
    full_ = grown_.full().at("id");
  }
  PostgresCluster& server() { return grown_.server(); }

  // Changes the table, and returns the segment that says so, which is archived now.
  std::string archive_a_change() {
    server().sql(fmt::format("update kept set t = 'change' where n % 91 = {}", ++changes_));
    const std::string segment = server().sql("select pg_walfile_name(pg_current_wal_lsn())");
    grown_.archived().archive();
    return segment;
  }
  fs::path object_of(const std::string& segment) { return grown_.archived().object_of(segment); }
  // The next incremental backup is compared because of `segment`, and is right.
  void expect_compared(const std::string& segment) {
    const Json made = grown_.incremental("comparison");
    EXPECT_EQ(made.at("incremental").at("parent"), full_);
    const std::string reason = made.at("incremental").at("source_reason");
    EXPECT_NE(reason.find(segment), std::string::npos) << reason;
    EXPECT_EQ(grown_.check(made), kNothing);
    // From here on WAL is whole again.
    archive_a_change();
    const Json next = grown_.incremental("wal index");
    EXPECT_EQ(next.at("incremental").at("parent"), made.at("id"));
    EXPECT_EQ(grown_.check(next), kNothing);
  }

  Grown grown_{{.wal_segment_mib = 1}};
  std::string full_;

 private:
  int changes_ = 0;
};

TEST_F(Proof, ADamagedIndexIsNotBelieved) {
  const std::string segment = archive_a_change();
  archive_a_change();
  std::string bytes = read_text(object_of(segment));
  // At the front stand what the segment is, its summary and its index.
  for (std::size_t at = 64; at < 512; ++at) bytes.at(at) ^= 1;
  put_in_place(object_of(segment), bytes);
  expect_compared(segment);
}

TEST_F(Proof, AnotherSegmentsIndexInItsPlaceIsNotBelieved) {
  const std::string segment = archive_a_change();
  const std::string other = archive_a_change();
  put_in_place(object_of(segment), read_text(object_of(other)));
  expect_compared(segment);
}

// The same segment of the same cluster, archived into a repository of another time or place.
TEST_F(Proof, TheIndexOfAnotherRepositoryIsNotBelieved) {
  const std::string segment = archive_a_change();
  archive_a_change();
  HoldfastProgram other(server());
  other.init();
  const Outcome pushed = run({.arguments = as_server_user({HoldfastProgram::path(), "--config",
                                                           other.configuration().string(),
                                                           "archive-push", "pg_wal/" + segment}),
                              .folder = server().data_directory()});
  ASSERT_TRUE(pushed.ok()) << pushed.err;
  for (const auto& entry : fs::recursive_directory_iterator(other.repository_folder())) {
    if (entry.path().filename() == segment) {
      put_in_place(object_of(segment), read_text(entry.path()));
    }
  }
  expect_compared(segment);
}

// An extension's own resource manager may change any file in any way. No such extension is needed
// for the test: the WAL that PostgreSQL has written gets a record of one, before it is archived.
// Returns the segment.
std::string write_record_of_an_extension(PostgresCluster& server) {
  const std::string segment = server.sql("select pg_walfile_name(pg_current_wal_insert_lsn())");
  const std::string offset =
      server.sql("select file_offset from pg_walfile_name_offset(pg_current_wal_insert_lsn())");
  server.sql("select pg_logical_emit_message(false, 'test', 'of nobody that is known')");
  // The pages behind: the server will not write that one again.
  server.sql("select pg_logical_emit_message(true, 'test', repeat('x', 20000))");

  constexpr std::size_t kHeaderBytes = 24, kManagerAt = 17, kCrcAt = 20;
  constexpr std::uint8_t kLogicalMessage = 21, kOfAnExtension = 200;
  const fs::path file = server.data_directory() / "pg_wal" / segment;
  std::string wal = read_text(file);
  const std::size_t at = std::stoul(offset);
  const auto bytes_of = [&](std::size_t from, std::size_t count) {
    return as_bytes(std::string_view(wal).substr(from, count));
  };
  const auto length = load_le<std::uint32_t>(bytes_of(at, 4).data());
  EXPECT_LT(at % 8192 + length, 8192U) << "the record lies in two pages: choose another one";
  EXPECT_EQ(static_cast<std::uint8_t>(wal.at(at + kManagerAt)), kLogicalMessage);
  wal[at + kManagerAt] = static_cast<char>(kOfAnExtension);
  const std::uint32_t crc =
      crc32c(bytes_of(at, kCrcAt), crc32c(bytes_of(at + kHeaderBytes, length - kHeaderBytes)));
  std::memcpy(&wal[at + kCrcAt], &crc, sizeof crc);
  put_in_place(file, wal);
  return segment;
}

TEST_F(Proof, AnUnknownResourceManagerInWalIsNotPassedOver) {
  const std::string segment = write_record_of_an_extension(server());
  archive_a_change();
  expect_compared(segment);
}

// PostgreSQL's summaries have the blocks that such a record names, as its own incremental backups
// want it, and do not tell whose record it was.
TEST(ProofBySummaries, RecordsOfAnExtensionAreReadAsPostgresReadsThem) {
  for (const ServerPrograms& programs : available_servers()) {
    if (programs.major_version < 17) continue;
    Grown grown({.settings = {"summarize_wal = on"}, .wal_segment_mib = 1, .programs = programs});
    PostgresCluster& server = grown.server();
    server.sql("create table kept as select i n, 'x' t from generate_series(1, 20000) i");
    grown.full();
    write_record_of_an_extension(server);
    server.sql("update kept set t = 'change' where n % 91 = 1");
    grown.archived().archive();
    EXPECT_EQ(grown.check(grown.incremental("wal summaries")), kNothing);
  }
}

}  // namespace
}  // namespace holdfast::test
