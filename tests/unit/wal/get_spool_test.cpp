#include "wal/get_spool.h"

#include <chrono>

#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
const WalFileName kFile = *parse_wal_file_name("000000010000000000000007");

class GetSpoolTest : public testing::Test {
 protected:
  GetBinding binding() const {
    return {.cluster = "demo",
            .data_directory = "/srv/pg",
            .line = "history 0001-7340123456789012345",
            .repositories = {"local file:///srv/a"}};
  }
  GetSpool spool(const GetBinding& bound) const { return {folder_.path(), bound}; }
  GetSpool spool() const { return spool(binding()); }

  void fill(const GetSpool& into, const std::string& content = "a segment") const {
    into.make_folder();
    write_text(into.content_path(kFile.text), content);
    into.publish({.file = kFile.text,
                  .content = wal_content_hash(as_bytes(content)),
                  .bytes = content.size()});
  }
  fs::path entry(const GetSpool& of) const { return of.folder() / (kFile.text + ".entry"); }
  bool gives(const GetSpool& from) const {
    fs::remove(destination_);
    return from.take(kFile, destination_);
  }

  TempFolder folder_;
  const fs::path destination_ = folder_ / "RECOVERYXLOG";
};

TEST_F(GetSpoolTest, GivesAFileOnceAndWhole) {
  fill(spool());
  ASSERT_TRUE(gives(spool()));
  EXPECT_EQ(read_text(destination_), "a segment");
  EXPECT_FALSE(gives(spool()));
  EXPECT_FALSE(fs::exists(destination_));
  EXPECT_TRUE(spool().files().empty());
}

TEST_F(GetSpoolTest, IsEmptyForEveryOtherRestore) {
  fill(spool());
  std::vector<GetBinding> others(5, binding());
  others[0].cluster = "other";
  others[1].data_directory = "/srv/pg2";
  others[2].line = "history 0002-7340123456789012345";
  others[3].repositories = {"local file:///srv/b"};
  others[4].repositories.push_back("far s3://bucket/x");
  for (const GetBinding& other : others) {
    EXPECT_FALSE(gives(spool(other)));
    // Nor when the entry gets into the other's folder.
    fs::copy(spool().folder(), spool(other).folder(), fs::copy_options::recursive);
    EXPECT_FALSE(gives(spool(other)));
  }
  EXPECT_TRUE(gives(spool()));
}

// As after a snapshot of the machine was rolled back: the name is the same, the content is not.
TEST_F(GetSpoolTest, DoesNotBelieveContentThatIsNotTheEntrys) {
  for (const std::string& other : {std::string("another.."), std::string("a segmen"),
                                   std::string("a segment, longer"), std::string()}) {
    fill(spool());
    write_text(spool().content_path(kFile.text), other);
    EXPECT_FALSE(gives(spool())) << other;
    EXPECT_FALSE(fs::exists(destination_));
    EXPECT_FALSE(spool().has(kFile.text)) << "what is not believed is removed";
  }
  fill(spool());
  fs::remove(spool().content_path(kFile.text));
  EXPECT_FALSE(gives(spool()));
}

TEST_F(GetSpoolTest, DoesNotBelieveAnEntryOfAnotherFile) {
  fill(spool());
  const WalFileName later = *parse_wal_file_name("000000010000000000000008");
  fs::copy_file(entry(spool()), spool().folder() / (later.text + ".entry"));
  fs::copy_file(spool().content_path(kFile.text), spool().content_path(later.text));
  EXPECT_FALSE(spool().take(later, destination_));
}

TEST_F(GetSpoolTest, DoesNotBelieveOldFutureOrCutEntries) {
  const auto age = [&](std::chrono::seconds by) {
    fs::last_write_time(entry(spool()), fs::file_time_type::clock::now() - by);
  };
  fill(spool());
  age(kGetEntryLifetime + 5s);
  EXPECT_FALSE(gives(spool()));
  age(-60s);
  EXPECT_FALSE(gives(spool()));
  age(kGetEntryLifetime - 5s);
  EXPECT_TRUE(gives(spool()));
  fill(spool());
  const std::string whole = read_text(entry(spool()));
  write_text(entry(spool()), whole.substr(0, whole.size() / 2));
  EXPECT_FALSE(gives(spool()));
}

TEST_F(GetSpoolTest, KeepsOnlyItsOwnBindingAndWhatIsFresh) {
  GetBinding old = binding();
  old.data_directory = "/srv/gone";
  fill(spool(old));
  fill(spool());
  write_text(spool().folder() / "000000010000000000000009.holdfast", "half");
  write_text(spool().folder() / "000000010000000000000009", "no entry");
  spool().remove_others();
  EXPECT_FALSE(fs::exists(spool(old).folder()));
  EXPECT_EQ(spool().files(), std::vector<std::string>{kFile.text});
  EXPECT_FALSE(fs::exists(spool().folder() / "000000010000000000000009.holdfast"));
  EXPECT_FALSE(fs::exists(spool().folder() / "000000010000000000000009"));
  EXPECT_TRUE(gives(spool()));
}

TEST_F(GetSpoolTest, TellsOneRequestFromTheNext) {
  EXPECT_FALSE(spool().last_request());
  spool().make_folder();
  spool().note_request(kFile);
  const auto first = spool().last_request();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->file, kFile.text);
  EXPECT_LT(std::chrono::system_clock::now() - first->at, 5s);
  spool().note_request(kFile);
  EXPECT_NE(spool().last_request()->number, first->number);
}

TEST_F(GetSpoolTest, ShowsThatAnotherRestoreAsks) {
  GetBinding other = binding();
  other.data_directory = "/srv/pg2";
  const auto before = std::chrono::system_clock::now() - 10s;
  spool().make_folder();
  spool().note_request(kFile);
  EXPECT_FALSE(spool().others_ask_after(before));
  spool(other).make_folder();
  EXPECT_FALSE(spool().others_ask_after(before));
  spool(other).note_request(kFile);
  EXPECT_TRUE(spool().others_ask_after(before));
  EXPECT_FALSE(spool().others_ask_after(before + 20s));
}

TEST_F(GetSpoolTest, ShowsWhatIsBeingFetched) {
  spool().make_folder();
  EXPECT_FALSE(spool().is_being_fetched(kFile.text));
  {
    const auto fetching = spool().begin_fetching(kFile.text);
    ASSERT_TRUE(fetching);
    EXPECT_TRUE(spool().is_being_fetched(kFile.text));
    EXPECT_FALSE(spool().begin_fetching(kFile.text));
  }
  EXPECT_FALSE(spool().is_being_fetched(kFile.text));
  // A helper that was killed leaves the file behind, unlocked.
  write_text(spool().folder() / (kFile.text + ".fetching"), "");
  EXPECT_FALSE(spool().is_being_fetched(kFile.text));
}

}  // namespace
}  // namespace holdfast::test
