// Bringing back what was removed, in a bucket in memory that keeps versions: key slots, and backups
// while others work in the same repository.

#include "repository/undelete.h"

#include "repository/key_slots_json.h"
#include "repository/sweep.h"
#include "storage/versioning.h"
#include "unit/repository/repository_testing.h"

namespace holdfast::test {
namespace {

struct StoredVersion {
  ObjectVersion about;
  Bytes content;
};

struct Bucket {
  std::mutex mutex;
  std::map<std::string, std::vector<StoredVersion>> names;  // newest first
  Timestamp time = *parse_rfc3339("2026-01-01T00:00:00Z");
  std::set<std::string> stuck;  // what nobody may bring back
  std::function<void(const std::string&)> before_uncovering = [](const std::string&) {};

  void add(const std::string& name, ObjectVersion::Kind kind, Bytes content) {
    time += std::chrono::milliseconds(1);
    auto& versions = names[name];
    const ObjectVersion about{.kind = kind,
                              .id = std::to_string(time.time_since_epoch().count()),
                              .size = content.size(),
                              .modified = time,
                              .etag = to_hex(sha256(content))};
    versions.insert(versions.begin(), {about, std::move(content)});
  }
  const StoredVersion* now(const std::string& name) {
    const auto found = names.find(name);
    if (found == names.end() || found->second.empty()) return nullptr;
    const StoredVersion& first = found->second.front();
    return first.about.kind == ObjectVersion::Kind::kObject ? &first : nullptr;
  }
};

class VersionedStore final : public ObjectStore, public Versioning {
 public:
  explicit VersionedStore(std::shared_ptr<Bucket> bucket) : bucket_(std::move(bucket)) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions&,
                 const std::stop_token&) override {
    const std::lock_guard lock(bucket_->mutex);
    if (bucket_->now(name) != nullptr) return PutOutcome::kExists;
    bucket_->add(name, ObjectVersion::Kind::kObject, to_bytes(content));
    return PutOutcome::kCreated;
  }
  std::optional<Bytes> get(const std::string& name, const std::stop_token&) override {
    const std::lock_guard lock(bucket_->mutex);
    const StoredVersion* now = bucket_->now(name);
    return now == nullptr ? std::nullopt : std::optional(now->content);
  }
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    const auto whole = get(name, stop);
    if (whole) std::copy_n(whole->data() + offset, out.size(), out.begin());
    return whole.has_value();
  }
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token&) override {
    const std::lock_guard lock(bucket_->mutex);
    const StoredVersion* now = bucket_->now(name);
    if (now == nullptr) return std::nullopt;
    return ObjectInfo{.name = name, .size = now->about.size, .modified = now->about.modified};
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    MemoryStore there(std::make_shared<MemoryObjects>());
    {
      const std::lock_guard lock(bucket_->mutex);
      for (const auto& [name, versions] : bucket_->names) {
        const StoredVersion* now = bucket_->now(name);
        if (now != nullptr) there.put(name, now->content, {}, stop);
      }
    }
    return there.list(request, stop);
  }
  void remove(const std::string& name, const std::stop_token&) override {
    const std::lock_guard lock(bucket_->mutex);
    if (bucket_->now(name) != nullptr) bucket_->add(name, ObjectVersion::Kind::kDeleteMarker, {});
  }
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override {
    for (const std::string& name : names) remove(name, stop);
    return {};
  }
  const Capabilities& capabilities() const override { return capabilities_; }
  Timestamp now(const std::stop_token&) override {
    const std::lock_guard lock(bucket_->mutex);
    return bucket_->time;
  }
  std::string describe() const override { return "memory"; }

  VersioningState versioning_state(const std::stop_token&) override {
    return VersioningState::kEnabled;
  }
  VersionsPage list_versions(const ListRequest& request, const std::stop_token&) override {
    const std::lock_guard lock(bucket_->mutex);
    VersionsPage page;
    for (const auto& [name, versions] : bucket_->names) {
      if (!name.starts_with(request.prefix) || name <= request.after) continue;
      VersionsOfName of{.name = name, .versions = {}};
      for (const StoredVersion& version : versions) of.versions.push_back(version.about);
      page.names.push_back(std::move(of));
    }
    return page;
  }
  void remove_version(const std::string& name, const std::string& version,
                      const std::stop_token&) override {
    bucket_->before_uncovering(name);
    const std::lock_guard lock(bucket_->mutex);
    refuse_stuck(name);
    std::erase_if(bucket_->names.at(name),
                  [&](const StoredVersion& stored) { return stored.about.id == version; });
  }
  void copy_version(const std::string& name, const ObjectVersion& version,
                    const std::stop_token&) override {
    const std::lock_guard lock(bucket_->mutex);
    refuse_stuck(name);
    for (const StoredVersion& stored : bucket_->names.at(name)) {
      if (stored.about.id != version.id) continue;
      bucket_->add(name, ObjectVersion::Kind::kObject, Bytes(stored.content));
      return;
    }
  }

 private:
  void refuse_stuck(const std::string& name) const {
    if (bucket_->stuck.contains(name)) throw Error(ErrorKind::kRepository, "locked");
  }
  std::shared_ptr<Bucket> bucket_;
  Capabilities capabilities_{.exclusive_create = true, .parallel_requests = 4};
};

KeySource key_of(std::uint8_t fill) {
  return KeyFile{Secret(Bytes(32, std::byte{fill}))};
}

class Undeletes : public testing::Test {
 protected:
  Undeletes() {
    Repository::create(store_, {.key = key_of(7), .key_label = "first", .holdfast_version = "test"},
                       kNoStop);
  }
  std::unique_ptr<Repository> open(std::uint8_t key = 7) {
    return Repository::open(std::make_unique<VersionedStore>(bucket_), key_of(key), kNoStop);
  }
  Timestamp moment() {
    const Timestamp now = bucket_->time;
    bucket_->time += std::chrono::seconds(1);
    return now;
  }
  void overwrite(const std::string& name, ByteView content) {
    bucket_->add(name, ObjectVersion::Kind::kObject, to_bytes(content));
  }
  void remove(const std::string& prefix) {
    for_each_object(store_, prefix, kNoStop,
                    [&](const ObjectInfo& object) { store_.remove(object.name, kNoStop); });
  }
  bool is_there(const std::string& name) { return store_.head(name, kNoStop).has_value(); }
  Undeleted bring_back(Timestamp as_of, std::uint8_t key = 7) {
    return undelete(store_,
                    {.cluster = "demo",
                     .as_of = as_of,
                     .act = UndeleteOptions::Act::kBringBack,
                     .key = key_of(key)},
                    kNoStop);
  }

  std::shared_ptr<Bucket> bucket_ = std::make_shared<Bucket>();
  VersionedStore store_{bucket_};
};

using UndeletesKeys = Undeletes;

TEST_F(UndeletesKeys, ThatWereOverwritten) {
  const Timestamp good = moment();
  overwrite("keys/0001", as_bytes("something else"));
  EXPECT_EQ(kind_of([&] { open(); }), ErrorKind::kDamage);
  EXPECT_EQ(bring_back(good).failed_objects, 0U);
  EXPECT_TRUE(open());
}

TEST_F(UndeletesKeys, ThatWereDeletedAndReplacedBySomethingUnreadable) {
  const Timestamp good = moment();
  remove("keys/");
  overwrite("keys/0002", as_bytes("something else"));
  const Undeleted done = bring_back(good);
  EXPECT_EQ(done.failed_objects, 0U);
  EXPECT_EQ(done.hidden_records, 1U);
  EXPECT_TRUE(open());
}

TEST_F(UndeletesKeys, ThatWereReplacedByThoseOfAnotherAndDoesNotCallThatDone) {
  const RepositoryId id = open()->keys().repository_id;
  const Timestamp good = moment();
  remove("keys/");
  const KeySlot foreign = wrap(Secret::random(), key_of(9), "", "2026-01-01T00:00:00Z");
  overwrite("keys/0002", encode_key_generation({2, {foreign}}, id));
  const Undeleted failed = bring_back(good);
  EXPECT_EQ(failed.failed_objects, 1U);
  EXPECT_NE(failed.failed_example.find("keys/0002"), std::string::npos) << failed.failed_example;
  remove("keys/0002");
  EXPECT_EQ(bring_back(good).failed_objects, 0U);
  EXPECT_TRUE(open());
}

TEST_F(UndeletesKeys, NotThatWereRetiredSince) {
  const Timestamp good = moment();
  const KeyChange added = add_key_slot(*open(), key_of(8), "second", kNoStop);
  remove_key_slot(*open(8), added.slots[0].id, kNoStop);
  const Undeleted done = bring_back(good, 8);
  EXPECT_EQ(done.failed_objects, 0U);
  EXPECT_EQ(done.younger_keys, std::vector<std::string>{"keys/0003"});
  EXPECT_FALSE(is_there("keys/0001"));
  EXPECT_EQ(kind_of([&] { open(7); }), ErrorKind::kWrongKey);
}

class UndeletesABackup : public Undeletes {
 protected:
  void SetUp() override {
    std::mt19937_64 random(1);
    write_backup(*repository_, {{.path = "data", .size = 256U << 10U, .content = [&](auto, auto n) {
                                   return random_bytes(random, n);
                                 }}});
    good_ = moment();
  }
  // As `backup` does before its own, on the host and of the directory of the one that is gone.
  void sweep() {
    sweep_dead_backups(*repository_, list_backups(*repository_, "demo", kNoStop),
                       {.host = "host", .data_directory = "/data"}, kNoStop);
  }
  void expect_back() {
    const auto outcome = read_outcome(*repository_, backup_name(), kNoStop);
    ASSERT_TRUE(outcome && outcome->committed);
    EXPECT_TRUE(is_there(names::begin(backup_name())));
    EXPECT_TRUE(is_there(names::manifest(backup_name())));
    EXPECT_TRUE(is_there(pack_));
  }

  std::unique_ptr<Repository> repository_ = open();
  const std::string pack_ = names::pack(backup_name(), names::PackKind::kData, 1);
  Timestamp good_;
};

TEST_F(UndeletesABackup, WhileOthersSweep) {
  remove("demo/");
  std::mutex mutex;
  bucket_->before_uncovering = [&](const std::string&) {
    const std::lock_guard lock(mutex);
    sweep();
  };
  const Undeleted done = bring_back(good_);
  EXPECT_EQ(done.failed_objects, 0U);
  EXPECT_EQ(done.backups, std::vector<std::string>{backup_name().id.text});
  sweep();
  expect_back();
}

TEST_F(UndeletesABackup, InPartAndTheRestAfterASweep) {
  remove("demo/");
  bucket_->stuck.insert(pack_);
  const Undeleted failed = bring_back(good_);
  EXPECT_EQ(failed.failed_objects, 1U);
  EXPECT_TRUE(failed.backups.empty());
  EXPECT_TRUE(is_there(names::manifest(backup_name())));
  sweep();
  EXPECT_TRUE(is_there(names::manifest(backup_name())));
  bucket_->stuck.clear();
  EXPECT_EQ(bring_back(good_).failed_objects, 0U);
  expect_back();
}

// Its begin record was never gone, so a sweep may take it for a dead one.
TEST_F(UndeletesABackup, OrSaysThatSomebodyDecidedOtherwiseMeanwhile) {
  remove(names::outcome(backup_name()));
  bucket_->before_uncovering = [&](const std::string& name) {
    if (name == names::outcome(backup_name())) sweep();
  };
  const Undeleted failed = bring_back(good_);
  EXPECT_EQ(failed.failed_objects, 1U);
  EXPECT_TRUE(failed.backups.empty());
  bucket_->before_uncovering = [](const std::string&) {};
  const Undeleted done = bring_back(good_);
  EXPECT_EQ(done.failed_objects, 0U);
  EXPECT_EQ(done.backups, std::vector<std::string>{backup_name().id.text});
  expect_back();
}

}  // namespace
}  // namespace holdfast::test
