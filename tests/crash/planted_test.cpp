// Planted bugs: the suite's checker must find them, or its silence would mean nothing.
#include "app/open.h"
#include "backup/backup.h"
#include "storage/folder_store.h"
#include "storage/store_decorator.h"
#include "suite.h"

namespace holdfast::test {
namespace {

// Says that everything was stored, and loses the first object whose name contains `part`.
class LosingStore final : public StoreDecorator {
 public:
  LosingStore(std::unique_ptr<ObjectStore> inner, std::string part)
      : StoreDecorator(std::move(inner)), part_(std::move(part)) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    if (!part_.empty() && name.find(part_) != std::string::npos) {
      part_.clear();
      return PutOutcome::kCreated;
    }
    return inner().put(name, content, options, stop);
  }

 private:
  std::string part_;
};

void back_up_into(const HoldfastProgram& holdfast, std::unique_ptr<ObjectStore> store) {
  const auto repository = Repository::open(std::move(store), std::nullopt, {});
  NullProgress progress;
  take_backup(*repository,
              {.cluster = "demo",
               .connection = crash_cluster().connection(),
               .data_directory = crash_cluster().data_directory(),
               .state_directory = holdfast.state_directory(),
               .jobs = 1,
               .host = host_name(),
               .holdfast_version = "test"},
              progress, {});
}

class Planted : public testing::TestWithParam<const char*> {};

TEST_P(Planted, LossIsFound) {
  HoldfastProgram holdfast(crash_cluster());
  holdfast.init();
  back_up_into(holdfast, make_folder_store(holdfast.repository_folder()));
  give_to_server_user(holdfast.folder());
  ListedBackups checker(holdfast);
  EXPECT_EQ(checker.complaints(), std::vector<std::string>{}) << "nothing was lost yet";
  // A commit record that is there before what it names is the same to whoever comes in between.
  back_up_into(holdfast, std::make_unique<LosingStore>(
                             make_folder_store(holdfast.repository_folder()), GetParam()));
  give_to_server_user(holdfast.folder());
  EXPECT_EQ(checker.complaints().size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Object, Planted, testing::Values("/manifest", "/pack/", "/map/"),
                         [](const auto& given) {
                           std::string name = given.param;
                           std::erase(name, '/');
                           return name;
                         });

// A sweeper that removes objects of a committed backup.
TEST(PlantedSweep, LossOfAnOldBackupIsFound) {
  HoldfastProgram holdfast(crash_cluster());
  holdfast.init();
  const std::string id = holdfast.backup().at("id");
  ListedBackups checker(holdfast);
  EXPECT_EQ(checker.complaints(), std::vector<std::string>{});
  bool removed = false;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(holdfast.repository_folder())) {
    if (entry.path().parent_path().filename() != "pack") continue;
    std::filesystem::remove(entry.path());
    removed = true;
    break;
  }
  ASSERT_TRUE(removed);
  EXPECT_EQ(checker.complaints().size(), 1U);
}

}  // namespace
}  // namespace holdfast::test
