// Key slots as `key` handles them, on a repository in a folder.
#include "app/keys.h"

#include <filesystem>
#include <map>

#include <gtest/gtest.h>

#include "app/open.h"
#include "core/error.h"
#include "support/temp_folder.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
const std::stop_token kNoStop;

class KeysTest : public testing::Test {
 protected:
  void SetUp() override {
    new_key_file(path("first.key"));
    config_.url = "file://" + path("repository");
    config_.encryption.key_file = path("first.key");
    make(config_);
  }

  static void make(const RepositoryConfig& config) {
    create_store(store_options(config));
    const auto store = open_store(store_options(config));
    Repository::create(
        *store,
        {.key = key_source(config.encryption), .key_label = "first", .holdfast_version = "test"},
        kNoStop);
    store->put("demo/data", as_bytes("data"), {}, kNoStop);
  }

  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  std::string private_file(const std::string& name, const std::string& text) const {
    test::write_text(path(name), text);
    fs::permissions(path(name), fs::perms::owner_read | fs::perms::owner_write);
    return path(name);
  }
  RepositoryConfig with(EncryptionConfig encryption) const {
    RepositoryConfig config = config_;
    config.encryption = std::move(encryption);
    return config;
  }
  // Names of all stored objects but key slots, and when each was written.
  std::map<std::string, fs::file_time_type> data_objects() const {
    std::map<std::string, fs::file_time_type> objects;
    for (const auto& entry : fs::recursive_directory_iterator(path("repository"))) {
      const std::string name = fs::relative(entry.path(), path("repository")).string();
      if (entry.is_regular_file() && !name.starts_with("keys/")) {
        objects[name] = entry.last_write_time();
      }
    }
    return objects;
  }
  template <class Call>
  static ErrorKind kind_of(Call call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kBug;
  }

  test::TempFolder folder_;
  RepositoryConfig config_;
};

TEST_F(KeysTest, NewKeyFileIsPrivateFreshAndNeverOverwrites) {
  const std::string before = test::read_text(path("first.key"));
  EXPECT_EQ(fs::status(path("first.key")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(kind_of([&] { new_key_file(path("first.key")); }), ErrorKind::kRefused);
  EXPECT_EQ(test::read_text(path("first.key")), before);
  new_key_file(path("second.key"));
  EXPECT_NE(test::read_text(path("second.key")), before);
}

TEST_F(KeysTest, ListTellsWhichSlotTheConfiguredKeyOpens) {
  const KeyList keys = list_keys(config_, kNoStop);
  EXPECT_TRUE(keys.encrypted);
  ASSERT_EQ(keys.slots.size(), 1U);
  EXPECT_EQ(keys.slots[0].kind, "key-file");
  EXPECT_EQ(keys.slots[0].label, "first");
  EXPECT_TRUE(keys.slots[0].configured);
}

TEST_F(KeysTest, RotatingToAPassphraseTouchesNoDataAndRetiresTheOldKey) {
  const auto before = data_objects();
  ASSERT_GE(before.size(), 3U);  // the descriptor, the folder's mark, data
  const std::string old_slot = list_keys(config_, kNoStop).slots.at(0).id;
  const EncryptionConfig words{.passphrase_file = private_file("words", "correct horse\n")};

  const KeyChanged added = add_key(config_, {.key = words, .label = "safe"}, kNoStop);
  EXPECT_EQ(added.slot.kind, "passphrase");
  EXPECT_EQ(added.slot.label, "safe");
  EXPECT_FALSE(added.slot.configured);
  EXPECT_EQ(added.slots.size(), 2U);
  EXPECT_NO_THROW(list_keys(config_, kNoStop));

  const KeyChanged removed = remove_key(with(words), old_slot, kNoStop);
  EXPECT_EQ(removed.slot.id, old_slot);
  ASSERT_EQ(removed.slots.size(), 1U);
  EXPECT_TRUE(removed.slots[0].configured);
  EXPECT_EQ(kind_of([&] { open_repository(config_, kNoStop); }), ErrorKind::kWrongKey);
  EXPECT_NO_THROW(open_repository(with(words), kNoStop));
  EXPECT_EQ(data_objects(), before);
  // The old slots are gone with the old generations.
  EXPECT_EQ(std::distance(fs::directory_iterator(path("repository/keys")), {}), 1);
}

TEST_F(KeysTest, WrongKeysOpenNothing) {
  const EncryptionConfig words{.passphrase_file = private_file("words", "correct horse")};
  add_key(config_, {.key = words}, kNoStop);
  const EncryptionConfig wrong{.passphrase_file = private_file("wrong", "correct house")};
  EXPECT_EQ(kind_of([&] { list_keys(with(wrong), kNoStop); }), ErrorKind::kWrongKey);
  new_key_file(path("other.key"));
  EXPECT_EQ(kind_of([&] { list_keys(with({.key_file = path("other.key")}), kNoStop); }),
            ErrorKind::kWrongKey);
  EXPECT_EQ(kind_of([&] { list_keys(with({}), kNoStop); }), ErrorKind::kWrongKey);
}

TEST_F(KeysTest, AKeyThatOthersCanReadIsRefused) {
  new_key_file(path("open.key"));
  fs::permissions(path("open.key"), fs::perms::group_read, fs::perm_options::add);
  EXPECT_EQ(kind_of([&] { add_key(config_, {.key = {.key_file = path("open.key")}}, kNoStop); }),
            ErrorKind::kConfiguration);
  EXPECT_EQ(list_keys(config_, kNoStop).slots.size(), 1U);
}

TEST_F(KeysTest, AnEmptyPassphraseIsRefused) {
  const EncryptionConfig empty{.passphrase_file = private_file("empty", "\n")};
  EXPECT_EQ(kind_of([&] { add_key(config_, {.key = empty}, kNoStop); }), ErrorKind::kConfiguration);
}

TEST_F(KeysTest, TheSameKeyIsNotAddedTwice) {
  EXPECT_EQ(kind_of([&] { add_key(config_, {.key = config_.encryption}, kNoStop); }),
            ErrorKind::kRefused);
  EXPECT_EQ(list_keys(config_, kNoStop).slots.size(), 1U);
}

TEST_F(KeysTest, NeitherTheLastSlotNorTheOneInUseCanBeRemoved) {
  const std::string first = list_keys(config_, kNoStop).slots.at(0).id;
  EXPECT_EQ(kind_of([&] { remove_key(config_, first, kNoStop); }), ErrorKind::kRefused);
  new_key_file(path("second.key"));
  const KeyChanged added = add_key(config_, {.key = {.key_file = path("second.key")}}, kNoStop);
  EXPECT_EQ(kind_of([&] { remove_key(config_, first, kNoStop); }), ErrorKind::kRefused);
  EXPECT_EQ(kind_of([&] { key_to_remove(config_, first, kNoStop); }), ErrorKind::kRefused);
  EXPECT_EQ(key_to_remove(config_, added.slot.id, kNoStop).id, added.slot.id);
  EXPECT_EQ(list_keys(config_, kNoStop).slots.size(), 2U);  // looking removed nothing
  remove_key(config_, added.slot.id, kNoStop);
  EXPECT_EQ(list_keys(config_, kNoStop).slots.size(), 1U);
}

TEST_F(KeysTest, AnUnknownSlotIsNotFound) {
  EXPECT_EQ(kind_of([&] { remove_key(config_, "00000000", kNoStop); }), ErrorKind::kNotFound);
}

TEST_F(KeysTest, AnUnencryptedRepositoryHasNoSlots) {
  RepositoryConfig open = config_;
  open.url = "file://" + path("open");
  open.encryption = {};
  make(open);
  EXPECT_FALSE(list_keys(open, kNoStop).encrypted);
  EXPECT_EQ(kind_of([&] { add_key(open, {.key = config_.encryption}, kNoStop); }),
            ErrorKind::kRefused);
}

}  // namespace
}  // namespace holdfast
