// A copy that fails at any put, whether the object was stored or not, is finished by the next one.
#include "copy_testing.h"
#include "storage/store_decorator.h"

namespace holdfast::test {
namespace {

enum class Lost { kRequest, kAnswer };

// Fails at the n-th put.
class FailingStore final : public StoreDecorator {
 public:
  FailingStore(std::unique_ptr<ObjectStore> inner, int at, Lost lost)
      : StoreDecorator(std::move(inner)), left_(at), lost_(lost) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    const bool fails = --left_ == 0;
    if (fails && lost_ == Lost::kRequest) fail();
    const PutOutcome outcome = StoreDecorator::put(name, content, options, stop);
    if (fails) fail();
    return outcome;
  }

 private:
  [[noreturn]] static void fail() { throw Error(ErrorKind::kRepository, "the power went"); }
  std::atomic<int> left_;
  const Lost lost_;
};

struct Way {
  CopyForm form;
  Lost lost;
};

class InterruptedCopy : public testing::TestWithParam<Way> {};

TEST_P(InterruptedCopy, IsFinishedByTheNext) {
  TestRepository from(Sealed::kPlain);
  const auto source = from.open();
  write_parent(*source);
  write_child(*source);
  int failed = 0;
  for (int at = 1; at < 100; ++at) {
    TestRepository to;
    const auto failing =
        to.open_on(std::make_unique<FailingStore>(to.store(), at, GetParam().lost));
    const auto failure =
        failure_of([&] { copy_one(*source, *failing, kChild, {.form = GetParam().form}); });
    if (!failure) break;
    ++failed;
    const auto target = to.open();
    const bool committed = to.objects->objects.contains(names::outcome(kChild));
    const CopyPlan plan = plan_of(*source, *target, kChild, {.form = GetParam().form});
    const CopiedBackup copied = copy_one(*source, *target, kChild, {.form = GetParam().form});
    EXPECT_EQ(plan.state, copied.state) << "put " << at;
    EXPECT_EQ(plan.packs_missing, copied.packs_copied) << "put " << at;
    EXPECT_EQ(plan.packs_there, copied.packs_there) << "put " << at;
    EXPECT_EQ(copied.state == CopiedBackup::State::kThereAlready, committed) << "put " << at;
    EXPECT_EQ(copied.form, GetParam().form) << "put " << at;
    ASSERT_EQ(complaints(*target, kChild), kNoComplaints) << "put " << at;
  }
  EXPECT_GT(failed, 8) << "too few puts failed to mean anything";
}

// Found in a review: the preview promised a form that the copy does not get any more.
TEST(InterruptedPlainCopy, WithItsManifestStaysAPlainOne) {
  TestRepository from, to;
  const auto source = from.open(), target = to.open();
  write_parent(*source);
  write_child(*source);
  copy_one(*source, *target, kChild);
  to.objects->objects.erase(names::outcome(kChild));
  const CopyOptions standalone{.form = CopyForm::kStandalone};
  const CopyPlan plan = plan_of(*source, *target, kChild, standalone);
  const CopiedBackup copied = copy_one(*source, *target, kChild, standalone);
  EXPECT_EQ(copied.form, CopyForm::kPlain);
  EXPECT_EQ(plan.form, copied.form);
  EXPECT_EQ(plan.warnings, copied.warnings);
  EXPECT_EQ(plan.warnings.size(), 1U);
}

// What a plain copy left behind is in nobody's way.
TEST(InterruptedPlainCopy, IsFinishedAsAStandaloneOne) {
  TestRepository from;
  const auto source = from.open();
  write_parent(*source);
  write_child(*source);
  int finished = 0;
  for (int at = 3; at < 100; ++at) {
    TestRepository to;
    const auto failing = to.open_on(std::make_unique<FailingStore>(to.store(), at, Lost::kAnswer));
    if (!failure_of([&] { copy_one(*source, *failing, kChild); })) break;
    if (to.objects->objects.contains(names::manifest(kChild))) break;  // it is what it is
    const auto target = to.open();
    const CopiedBackup copied = copy_one(*source, *target, kChild, {.form = CopyForm::kStandalone});
    EXPECT_EQ(copied.form, CopyForm::kStandalone);
    ASSERT_EQ(complaints(*target, kChild), kNoComplaints) << "put " << at;
    ++finished;
  }
  EXPECT_GT(finished, 5);
}

INSTANTIATE_TEST_SUITE_P(At, InterruptedCopy,
                         testing::Values(Way{CopyForm::kPlain, Lost::kRequest},
                                         Way{CopyForm::kPlain, Lost::kAnswer},
                                         Way{CopyForm::kStandalone, Lost::kRequest},
                                         Way{CopyForm::kStandalone, Lost::kAnswer}),
                         [](const testing::TestParamInfo<Way>& way) {
                           return std::string(way.param.form == CopyForm::kPlain ? "Plain"
                                                                                 : "Standalone") +
                                  (way.param.lost == Lost::kRequest ? "BeforeAPut" : "BehindAPut");
                         });

}  // namespace
}  // namespace holdfast::test
