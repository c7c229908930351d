// A store with a rotten object: the same bytes are wrong however it is read, and nothing is
// written.
#include "storage/damaged_view.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "temporary_folder.h"

namespace holdfast {
namespace {

const std::stop_token kNoStop;

class DamagedViewTest : public ::testing::Test {
 protected:
  DamagedViewTest() {
    const auto whole = repository_.open();
    for (const char* name : {"a/rotten", "a/rotten-not", "a/well"}) {
      whole->put(name, content_, {}, kNoStop);
    }
    view_ = make_damaged_view(repository_.open(), "a/rotten");
  }

  test::FolderRepository repository_;
  const Bytes content_ = Bytes(100, std::byte{7});
  std::unique_ptr<ObjectStore> view_;
};

TEST_F(DamagedViewTest, DamagesOneObjectTheSameWayHoweverItIsRead) {
  const Bytes rotten = view_->get("a/rotten", kNoStop).value();
  ASSERT_EQ(rotten.size(), content_.size());
  for (std::size_t i = 0; i < rotten.size(); ++i) {
    EXPECT_EQ(rotten[i] != content_[i], i % kDamagedEvery == 0) << i;
  }
  for (const std::size_t offset : {0U, 1U, 15U, 16U, 17U, 40U}) {
    Bytes part(33);
    ASSERT_TRUE(view_->get_range("a/rotten", offset, part, kNoStop));
    EXPECT_TRUE(
        std::equal(part.begin(), part.end(), rotten.begin() + static_cast<std::ptrdiff_t>(offset)))
        << offset;
  }
  EXPECT_EQ(view_->get("a/well", kNoStop), content_);
  EXPECT_EQ(view_->get("a/rotten-not", kNoStop), content_);
  EXPECT_EQ(view_->get("a/absent", kNoStop), std::nullopt);
}

TEST_F(DamagedViewTest, WritesAndRemovesNothing) {
  EXPECT_THROW(view_->put("a/new", content_, {}, kNoStop), Error);
  EXPECT_THROW(view_->remove("a/well", kNoStop), Error);
  EXPECT_THROW(view_->remove_many({"a/well"}, kNoStop), Error);
  const auto whole = repository_.open();
  EXPECT_EQ(whole->get("a/rotten", kNoStop), content_);
  EXPECT_EQ(whole->get("a/well", kNoStop), content_);
  EXPECT_EQ(whole->get("a/new", kNoStop), std::nullopt);
}

}  // namespace
}  // namespace holdfast
