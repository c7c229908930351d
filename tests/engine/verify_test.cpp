// `verify` through the program: what its document looks like, and pages that were bad before the
// backup was taken.
#include <fstream>
#include <set>

#include "suite.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using Keys = std::set<std::string>;

Keys keys_of(const Json& object) {
  Keys keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

const Keys kResult{"mode",     "backups",         "objects", "bytes", "damaged_objects",
                   "findings", "duration_seconds"};
const Keys kBackup{"id",
                   "history",
                   "state",
                   "objects",
                   "bytes",
                   "damaged_objects",
                   "excused_pages",
                   "pages_damaged_in_cluster",
                   "damaged_in_cluster",
                   "proof"};
const Keys kFinding{"object", "backup", "problem", "affected_files", "affected_blocks", "files"};

// A byte of each of these blocks of a relation, while the server is down.
void spoil(const fs::path& file, std::initializer_list<int> blocks) {
  constexpr int kPage = 8192, kWithin = 5000;
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  for (const int block : blocks) {
    stream.seekp(block * kPage + kWithin);
    stream.put('!');
  }
}

// The checksum was wrong when the page was read: the repository is whole, the cluster was not.
TEST(VerifyDeep, NamesThePagesThatWereBadInTheCluster) {
  PostgresCluster cluster;
  cluster.start();
  cluster.sql(
      "create table spoilt as select g, repeat('z', 1000) from generate_series(1, 500) g;"
      "checkpoint");
  const std::string relation = cluster.sql("select pg_relation_filepath('spoilt')");
  cluster.stop();
  spoil(cluster.data_directory() / relation, {17, 4});
  cluster.start();
  HoldfastProgram holdfast(cluster);
  holdfast.init();
  const Json backup = holdfast.backup();
  const Json pages =
      Json::array({{{"path", relation}, {"block", 4}}, {{"path", relation}, {"block", 17}}});
  ASSERT_EQ(backup.at("damaged"), pages);

  const Answer full = holdfast.run({"verify"});
  ASSERT_TRUE(full.ok()) << full.text();
  EXPECT_EQ(full.result().at("backups").at(0).at("pages_damaged_in_cluster"), 0)
      << "pages are looked at by --deep only";

  const Answer deep = holdfast.run({"verify", "--deep"});
  ASSERT_TRUE(deep.ok()) << "nothing that is stored is damaged: " << deep.text();
  EXPECT_EQ(keys_of(deep.result()), kResult);
  EXPECT_EQ(deep.result().at("mode"), "deep");
  EXPECT_EQ(deep.result().at("findings"), Json::array());
  const Json& verified = deep.result().at("backups").at(0);
  EXPECT_EQ(keys_of(verified), kBackup);
  EXPECT_EQ(verified.at("pages_damaged_in_cluster"), 2);
  EXPECT_EQ(verified.at("damaged_in_cluster"), pages);
  EXPECT_EQ(verified.at("proof"), 2);

  const Answer text = [&] {
    // People read this form; it has no document.
    Process process(
        {.arguments = as_server_user({HoldfastProgram::path(), "--config",
                                      holdfast.configuration().string(), "verify", "--deep"})});
    return Answer{.outcome = process.wait(std::chrono::minutes{1}), .document = {}};
  }();
  EXPECT_NE(text.outcome.out.find(relation + " block 4\n"), std::string::npos) << text.text();
  EXPECT_NE(text.outcome.out.find(relation + " block 17\n"), std::string::npos) << text.text();
}

TEST(VerifyDocument, OfDamageHasResultAndError) {
  HoldfastProgram holdfast(small_cluster());
  holdfast.init();
  const std::string id = holdfast.backup().at("id");
  fs::path largest;
  for (const auto& entry : fs::recursive_directory_iterator(holdfast.repository_folder())) {
    if (!entry.is_regular_file() || entry.path().string().find("/pack/") == std::string::npos) {
      continue;
    }
    if (largest.empty() || entry.file_size() > fs::file_size(largest)) largest = entry.path();
  }
  ASSERT_FALSE(largest.empty());
  std::string content = read_text(largest);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  write_text(largest, content);
  give_to_server_user(largest);

  const Answer answer = holdfast.run({"verify", id});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_EQ(keys_of(answer.document),
            (Keys{"schema", "command", "ok", "result", "error", "warnings"}));
  EXPECT_EQ(answer.document.at("ok"), false);
  EXPECT_EQ(answer.kind(), "damage");
  EXPECT_EQ(keys_of(answer.result()), kResult);
  EXPECT_EQ(answer.result().at("damaged_objects"), 1);
  const Json& finding = answer.result().at("findings").at(0);
  EXPECT_EQ(keys_of(finding), kFinding);
  EXPECT_EQ(finding.at("backup"), id);
  EXPECT_EQ(finding.at("object"), fs::relative(largest, holdfast.repository_folder()).string());
  ASSERT_GT(finding.at("files").size(), 0U);
  EXPECT_EQ(keys_of(finding.at("files").at(0)), (Keys{"path", "blocks", "ranges"}));
  EXPECT_EQ(keys_of(finding.at("files").at(0).at("ranges").at(0)), (Keys{"first", "count"}));
}

}  // namespace
}  // namespace holdfast::test
