// Every object of a real repository damaged in every way: verify finds it and names it, restore
// fails rather than delivers. Run through the built program.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/holdfast_program.h"
#include "support/postgres_cluster.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* text = std::getenv("HOLDFAST_TEST_SEED");
    const std::uint64_t chosen =
        text == nullptr ? std::random_device{}() : std::strtoull(text, nullptr, 10);
    std::printf("HOLDFAST_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return value;
}

// A repository with two full backups of a small cluster, made once for each kind of sealing.
struct Fixture {
  explicit Fixture(Encryption encryption) : program(cluster_of(), {.encryption = encryption}) {
    program.init();
    ids.push_back(program.backup({"--name", "first"}).at("id"));
    cluster_of().sql("insert into t select g, md5(g::text) from generate_series(1, 1000) g");
    ids.push_back(program.backup({"--name", "second", "--type", "full"}).at("id"));
    const fs::path root = program.repository_folder();
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      const std::string name = fs::relative(entry.path(), root).string();
      // The mark of a folder repository is no object; copies of the audit log are of no backup, and
      // `log --verify` looks after them.
      if (entry.is_regular_file() && name != "holdfast.folder" &&
          !name.starts_with("demo/audit/")) {
        contents[name] = read_text(entry.path());
      }
    }
  }

  static PostgresCluster& cluster_of() {
    static PostgresCluster cluster = [] {
      PostgresCluster made;
      made.start();
      made.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g");
      return made;
    }();
    return cluster;
  }

  fs::path path_of(const std::string& name) const { return program.repository_folder() / name; }
  // Writes the object as its owner does: the folder stays readable to the program.
  void put(const std::string& name, const std::string& content) const {
    write_text(path_of(name), content);
    give_to_server_user(path_of(name));
  }
  void mend() const {
    for (const auto& [name, content] : contents) {
      if (!fs::exists(path_of(name)) || read_text(path_of(name)) != content) put(name, content);
    }
    for (const std::string& id : ids) {
      fs::remove_all(path_of(prefix_of(id) + "proof"));
    }
  }
  std::string prefix_of(const std::string& id) const {
    for (const auto& [name, content] : contents) {
      const auto at = name.find("/" + id + "/");
      if (at != std::string::npos) return name.substr(0, at + id.size() + 2);
    }
    throw std::runtime_error("no objects of " + id);
  }

  HoldfastProgram program;
  std::vector<std::string> ids;
  std::map<std::string, std::string> contents;
};

Fixture& fixture(Encryption encryption) {
  static std::map<Encryption, std::unique_ptr<Fixture>> made;
  auto& at = made[encryption];
  if (at == nullptr) at = std::make_unique<Fixture>(encryption);
  return *at;
}

bool names_object(const Answer& answer, const std::string& object) {
  if (answer.error().find(object) != std::string::npos) return true;
  if (!answer.document.contains("result")) return false;
  const Json& findings = answer.result().at("findings");
  return std::any_of(findings.begin(), findings.end(),
                     [&](const Json& finding) { return finding.at("object") == object; });
}

std::vector<fs::path> packs_of(const fs::path& repository, const std::string& backup) {
  std::vector<fs::path> packs;
  for (const auto& entry : fs::recursive_directory_iterator(repository)) {
    const std::string folder = entry.path().parent_path().filename();
    const bool is_pack = entry.is_regular_file() && (folder == "pack" || folder == "map");
    if (is_pack && entry.path().string().find("/" + backup + "/") != std::string::npos) {
      packs.push_back(entry.path());
    }
  }
  return packs;
}

class Damage : public testing::TestWithParam<Encryption> {
 protected:
  void TearDown() override { objects_.mend(); }

  // `verify --all` exits 1 and names `object`.
  void expect_found(const std::string& object, const std::string& what) {
    const Answer answer = objects_.program.run({"verify", "--all"});
    EXPECT_EQ(answer.outcome.exit_code, 1) << what << " " << object << answer.text();
    EXPECT_EQ(answer.kind(), "damage") << what << " " << object;
    EXPECT_TRUE(names_object(answer, object)) << what << " " << object << answer.text();
  }

  bool is_of(const std::string& object, const std::string& id) const {
    return object.find("/" + id + "/") != std::string::npos;
  }

  Fixture& objects_ = fixture(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Sealing, Damage, testing::Values(Encryption::kNone, Encryption::kKeyFile),
                         [](const auto& tested) {
                           return tested.param == Encryption::kNone ? "Plain" : "Encrypted";
                         });

TEST_P(Damage, AWholeRepositoryIsVerifiedInEveryMode) {
  for (const char* mode : {"--quick", "--deep"}) {
    const Json result = objects_.program.must({"verify", "--all", mode});
    EXPECT_EQ(result.at("damaged_objects"), 0);
    EXPECT_EQ(result.at("backups").size(), 2U);
  }
  EXPECT_EQ(objects_.program.must({"verify"}).at("backups").size(), 1U);
  const Json shown = objects_.program.must({"show", "latest"});
  EXPECT_TRUE(shown.at("proof").at("ok"));
  EXPECT_EQ(shown.at("proof").at("mode"), "full");
}

TEST_P(Damage, OneFlippedByteAnywhereIsFoundAndNamed) {
  std::mt19937_64 random(seed());
  for (const auto& [name, content] : objects_.contents) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{10}, content.size() - 1,
                                 std::size_t{random() % content.size()}}) {
      std::string changed = content;
      changed[at] = static_cast<char>(changed[at] ^ (1 << random() % 8));
      objects_.put(name, changed);
      expect_found(name, fmt::format("byte {} of", at));
    }
    objects_.put(name, content);
  }
}

TEST_P(Damage, ATruncatedObjectIsFoundAndNamed) {
  for (const auto& [name, content] : objects_.contents) {
    for (const std::size_t size : {std::size_t{0}, content.size() / 2, content.size() - 1}) {
      objects_.put(name, content.substr(0, size));
      expect_found(name, fmt::format("first {} bytes of", size));
    }
    objects_.put(name, content);
  }
}

TEST_P(Damage, AMissingObjectIsFoundAndNamed) {
  for (const auto& [name, content] : objects_.contents) {
    fs::remove(objects_.path_of(name));
    // With the last generation of key slots goes its folder.
    expect_found(name.starts_with("keys/") ? "keys/" : name, "missing");
    objects_.mend();
  }
}

TEST_P(Damage, AnObjectInThePlaceOfAnotherIsFoundAndNamed) {
  for (const auto& [name, content] : objects_.contents) {
    const auto at = name.find(objects_.ids[0]);
    if (at == std::string::npos) continue;
    std::string twin = name;
    twin.replace(at, objects_.ids[0].size(), objects_.ids[1]);
    if (!objects_.contents.contains(twin)) continue;
    objects_.put(twin, content);
    expect_found(twin, "copied over");
    objects_.put(twin, objects_.contents.at(twin));
  }
}

// What a restore reads it must not deliver damaged; what it does not read must not hinder it.
TEST_P(Damage, RestoreFailsRatherThanDelivers) {
  const std::string id = objects_.ids[1];
  for (const auto& [name, content] : objects_.contents) {
    std::string changed = content;
    // A pack is damaged in a chunk: its trailer is not read by a restore.
    changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 0x20);
    objects_.put(name, changed);
    const fs::path target = objects_.program.new_path();
    const Answer answer = objects_.program.run({"restore", id, "--to", target.string()});
    const bool informs_only = name.ends_with("/begin") || name.ends_with("/history");
    const bool needed =
        name == "repository" || name.starts_with("keys/") || (is_of(name, id) && !informs_only);
    EXPECT_EQ(answer.ok(), !needed) << name << answer.text();
    EXPECT_EQ(fs::exists(target / "global" / "pg_control"), !needed) << name;
    EXPECT_EQ(answer.kind(), needed ? "damage" : "") << name;
    objects_.put(name, content);
    fs::remove_all(target);
  }
}

// Whoever asks for the latest backup is not given an older one without a word.
TEST_P(Damage, ADamagedLatestBackupIsNotPassedOver) {
  const std::string name = objects_.prefix_of(objects_.ids[1]) + "outcome";
  std::string changed = objects_.contents.at(name);
  changed[70] = static_cast<char>(changed[70] ^ 1);
  objects_.put(name, changed);
  const fs::path target = objects_.program.new_path();
  const Answer answer = objects_.program.run({"restore", "--to", target.string()});
  EXPECT_EQ(answer.kind(), "damage") << answer.text();
  EXPECT_FALSE(fs::exists(target / "global" / "pg_control"));
  bool listed = false;
  for (const Json& backup : objects_.program.listed()) {
    listed = listed || (backup.at("id") == objects_.ids[1] && backup.at("state") == "damaged");
  }
  EXPECT_TRUE(listed);
}

// Packs that an incremental backup took over from its parent are its own business too.
TEST(DamageToIncrementals, AMissingPackOfTheParentIsFoundAndKeepsTheChildFromBeingRestored) {
  HoldfastProgram program(Fixture::cluster_of(), {.encryption = Encryption::kNone});
  program.init();
  const std::string parent = program.backup().at("id");
  Fixture::cluster_of().sql("insert into t select g, 'x' from generate_series(1, 1000) g");
  const std::string child = program.backup({"--type", "incr"}).at("id");
  const fs::path aside = program.new_path();
  int taken_over = 0;
  for (const fs::path& pack : packs_of(program.repository_folder(), parent)) {
    const std::string name = fs::relative(pack, program.repository_folder()).string();
    fs::rename(pack, aside);
    const Answer verified = program.run({"verify", child});
    if (!verified.ok()) {
      ++taken_over;
      EXPECT_EQ(verified.kind(), "damage") << verified.text();
      EXPECT_TRUE(names_object(verified, name)) << verified.text();
      const fs::path target = program.new_path();
      const Answer restored = program.run({"restore", child, "--to", target.string()});
      EXPECT_EQ(restored.kind(), "damage") << restored.text();
      EXPECT_FALSE(fs::exists(target / "global" / "pg_control"));
    }
    fs::rename(aside, pack);
  }
  EXPECT_GE(taken_over, 2) << "data and maps of the parent";
  EXPECT_TRUE(program.run({"verify", child}).ok());
}

}  // namespace
}  // namespace holdfast::test
