// `drill --corrupt`: whatever the recovery reads, damage to it is noticed; nothing is written.
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "app/drill_damage.h"
#include "restore/reachable_times.h"
#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;

// Every file of the repository but the audit log, of which each command adds to the copy there.
std::map<std::string, std::string> content_of(const fs::path& repository) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::recursive_directory_iterator(repository)) {
    const std::string name = entry.path().lexically_relative(repository);
    if (!entry.is_regular_file() || name.find("/audit/") != std::string::npos) continue;
    content[name] = read_text(entry.path());
  }
  return content;
}

std::uint64_t seed_of(std::uint64_t index, std::uint64_t count) {
  for (std::uint64_t seed = 1;; ++seed) {
    Chance chance(seed ^ kDamageStream);
    if (draw_below(chance, count) == index) return seed;
  }
}

// Manifest, packs and WAL of the only backup.
std::set<std::string> objects_of(const HoldfastProgram& holdfast) {
  std::set<std::string> objects;
  for (const auto& [name, content] : content_of(holdfast.repository_folder())) {
    const bool wanted = name.find("/pack/") != std::string::npos ||
                        name.find("/map/") != std::string::npos || name.ends_with("/manifest");
    if (wanted) objects.insert(name);
  }
  return objects;
}

TEST(DrillOfDamage, NoticesItWhateverIsDamagedAndWritesNothing) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  cluster.server().sql(
      "create table t as select g n, repeat(md5(g::text), 20) from "
      "generate_series(1, 2000) g");
  holdfast.backup({"--type", "full"});
  cluster.archive();
  const auto before = content_of(holdfast.repository_folder());
  const std::set<std::string> objects = objects_of(holdfast);
  std::set<std::string> seen;
  // Behind them by its name: the segment of WAL that the backup lies in.
  const std::uint64_t count = objects.size() + 1;
  for (std::uint64_t index = 0; index < count; ++index) {
    const Answer answer =
        holdfast.run({"drill", "--corrupt", "--seed", std::to_string(seed_of(index, count))});
    ASSERT_EQ(answer.outcome.exit_code, 0) << answer.text();
    const Json damage = answer.result().at("damage");
    EXPECT_TRUE(damage.at("noticed")) << answer.text();
    EXPECT_THAT(answer.result().at("drawn").at("what"), Contains("damaged object"));
    EXPECT_TRUE(answer.result().at("proof").is_null());
    seen.insert(damage.at("object").get<std::string>());
  }
  EXPECT_EQ(seen.size(), count);
  for (const std::string& object : objects) EXPECT_THAT(seen, Contains(object));
  EXPECT_THAT(seen, Contains(HasSubstr("/wal/")));
  EXPECT_EQ(content_of(holdfast.repository_folder()), before);
  EXPECT_TRUE(holdfast.must({"show", "latest"}).at("proof").is_null());
  EXPECT_FALSE(fs::exists(holdfast.state_directory() / "drills")) << "no report of a real drill";
  EXPECT_TRUE(holdfast.must({"drill"}).at("passed"));
}

// What fails for another reason has not shown that this damage is noticed.
TEST(DrillOfDamage, FailsWhereSomethingElseFailed) {
  ArchivedCluster cluster;
  HoldfastProgram& holdfast = cluster.holdfast();
  holdfast.backup({"--type", "full"});
  cluster.archive();
  const std::set<std::string> objects = objects_of(holdfast);
  // WAL is looked into before anything is restored.
  for (const auto& [object, good] : content_of(holdfast.repository_folder())) {
    if (object.find("/wal/") == std::string::npos) continue;
    std::string content = good;
    for (std::size_t at = 100; at < content.size(); at += 100) content[at] ^= 1;
    const fs::path path = holdfast.repository_folder() / object;
    write_text(path, content);
    give_to_server_user(path);
  }
  const auto pack = std::ranges::find_if(
      objects, [](const std::string& name) { return name.find("/pack/") != std::string::npos; });
  const auto index = static_cast<std::uint64_t>(std::distance(objects.begin(), pack));
  const std::string seed = std::to_string(seed_of(index, objects.size() + 1));
  const Answer answer = holdfast.run({"drill", "--corrupt", "--seed", seed});
  EXPECT_EQ(answer.outcome.exit_code, 1) << answer.text();
  EXPECT_THAT(answer.error(), HasSubstr("not noticed"));
  EXPECT_FALSE(answer.result().at("damage").at("noticed"));
  EXPECT_TRUE(holdfast.must({"show", "latest"}).at("proof").is_null()) << "the backup looks bad";
}

TEST(DrillOfDamage, IsAskedForInWordsThatFit) {
  ArchivedCluster cluster;
  EXPECT_EQ(cluster.holdfast().run({"drill", "--corrupt", "--keep"}).outcome.exit_code, 2);
  EXPECT_EQ(cluster.holdfast().run({"drill", "--corrupt"}).outcome.exit_code, 3);
}

}  // namespace
}  // namespace holdfast::test
