#include "core/error.h"

#include <cerrno>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

struct KindCase {
  ErrorKind kind;
  int exit;
  const char* name;
};

// The command contract. Scripts depend on these numbers and names.
TEST(ErrorKindTest, MapsToTheExitCodesOfTheContract) {
  std::set<std::string> names;
  for (const auto& [kind, exit, name] :
       {KindCase{ErrorKind::kDamage, 1, "damage"},
        KindCase{ErrorKind::kCheckFailed, 1, "check_failed"},
        KindCase{ErrorKind::kNotFound, 1, "not_found"}, KindCase{ErrorKind::kUsage, 2, "usage"},
        KindCase{ErrorKind::kConfiguration, 2, "configuration"},
        KindCase{ErrorKind::kWrongKey, 2, "wrong_key"}, KindCase{ErrorKind::kRefused, 3, "refused"},
        KindCase{ErrorKind::kNewerFormat, 3, "newer_format"},
        KindCase{ErrorKind::kRepository, 4, "repository"},
        KindCase{ErrorKind::kPostgres, 5, "postgres"}, KindCase{ErrorKind::kHost, 6, "host"},
        KindCase{ErrorKind::kBug, 70, "bug"}, KindCase{ErrorKind::kCancelled, 70, "cancelled"}}) {
    EXPECT_EQ(exit_code(kind), exit) << name;
    EXPECT_EQ(to_string(kind), name);
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 13U);
}

TEST(ErrorTest, GathersContextOnTheWayUp) {
  Error error(ErrorKind::kRepository, "connection reset", {.retryable = true});
  error.during("store a pack").about("pack/1").advise("Look at the network.");
  error.about("another").advise("Something else.");  // who knew first knows best
  EXPECT_EQ(error.message(), "store a pack: connection reset");
  EXPECT_STREQ(error.what(), "store a pack: connection reset");
  EXPECT_EQ(error.object(), "pack/1");
  EXPECT_EQ(error.hint(), "Look at the network.");
  EXPECT_TRUE(error.retryable());
  EXPECT_EQ(error.kind(), ErrorKind::kRepository);
}

Error error_of(int error_number) {
  try {
    throw_errno(error_number, "write", "/srv/x");
  } catch (const Error& error) {
    return error;
  }
}

TEST(ThrowErrno, NamesTheObjectAndKnowsWhatHelps) {
  const Error full = error_of(ENOSPC);
  EXPECT_EQ(full.kind(), ErrorKind::kHost);
  EXPECT_EQ(full.object(), "/srv/x");
  EXPECT_EQ(full.message(), "cannot write /srv/x: No space left on device");
  EXPECT_NE(full.hint().find("Free space"), std::string::npos);
  EXPECT_EQ(error_of(EDQUOT).hint(), full.hint());
  EXPECT_NE(error_of(EACCES).hint().find("owner"), std::string::npos);
  EXPECT_TRUE(error_of(EIO).hint().empty());
}

TEST(Invariant, IsABugAndNamesTheCondition) {
  EXPECT_NO_THROW(HF_INVARIANT(1 + 1 == 2));
  try {
    HF_INVARIANT(1 + 1 == 3);
    FAIL() << "the invariant was not checked";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBug);
    EXPECT_NE(error.message().find("1 + 1 == 3"), std::string::npos);
    EXPECT_FALSE(error.hint().empty());
  }
}

}  // namespace
}  // namespace holdfast
