#include "system/shared_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace holdfast {
namespace {

TEST(SharedLibrary, FindsAFunction) {
  const SharedLibrary library("libm.so.6", "libc6");
  double (*root)(double) = nullptr;
  library.find(root, "sqrt");
  EXPECT_EQ(root(9), 3);
}

TEST(SharedLibrary, SaysWhichPackageIsMissing) {
  try {
    const SharedLibrary library("libholdfast-has-none.so.1", "libnone1");
    FAIL() << "it was loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kHost);
    EXPECT_EQ(error.object(), "libholdfast-has-none.so.1");
    EXPECT_THAT(error.hint(), testing::HasSubstr("apt-get install libnone1"));
  }
}

TEST(SharedLibrary, AMissingFunctionIsAnErrorToo) {
  const SharedLibrary library("libm.so.6", "libc6");
  void (*none)() = nullptr;
  EXPECT_THROW(library.find(none, "holdfast_has_none"), Error);
}

}  // namespace
}  // namespace holdfast
