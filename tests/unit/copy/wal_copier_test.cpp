// What a preview says of archived WAL, and how often it asks.
#include "copy_testing.h"
#include "storage/store_decorator.h"
#include "unit/repository/archive_maker.h"

namespace holdfast::test {
namespace {

// Counts how often the segments of the first timeline are listed.
class ListedStore final : public StoreDecorator {
 public:
  ListedStore(std::unique_ptr<ObjectStore> inner, int& listed)
      : StoreDecorator(std::move(inner)), listed_(listed) {}

  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    if (request.prefix == names::wal_timeline_prefix({"demo", {1, 77}}, {1})) ++listed_;
    return StoreDecorator::list(request, stop);
  }

 private:
  int& listed_;
};

void write_backup_with_wal(const Repository& repository, const BackupName& name,
                           std::uint64_t start, std::uint64_t stop) {
  write_backup(repository, {{"base/1/small", 3000, numbered_content}},
               {.name = name, .wal_segment_size = kMadeSegmentSize, .describe = [&](auto& info) {
                  info.standalone = false;
                  info.timeline = TimelineId{1};
                  info.start_lsn = at(start, 0x28);
                  info.stop_lsn = at(stop, 0x2000);
                }});
}

// Found in a review: it listed everything again for each backup.
TEST(CopiedWalPreview, ListsArchivedWalOnceForAllBackups) {
  ArchiveMaker archive;
  archive.segments({1}, 10, 60);
  write_backup_with_wal(*archive.opened, kParent, 11, 12);
  write_backup_with_wal(*archive.opened, kChild, 40, 42);
  const CopyOptions onward{.wal = CopiedWal::kOnward};
  for (const BackupName& there : {kParent, kChild}) {
    const TestRepository to;
    const auto target = to.open();
    copy_one(*archive.opened, *target, there);
    int listed = 0;
    const auto source = archive.repository.open_on(
        std::make_unique<ListedStore>(archive.repository.store(), listed));
    CountedWal counted;
    for (const BackupName& name : {kParent, kChild}) {
      const CopyPlan plan = plan_copy({.from = *source, .to = *target}, entry_of(*source, name),
                                      onward, counted, kNoStop);
      EXPECT_EQ(plan.wal_missing + plan.wal_there, name == kParent ? 50U : 21U);
      EXPECT_EQ(plan.wal_there, there == kChild ? 3U : name == kParent ? 2U : 0U);
    }
    EXPECT_EQ(listed, 1);
  }
}

TEST(CopiedWalPreview, SaysWhatIsCopied) {
  ArchiveMaker archive;
  archive.segments({1}, 10, 60);
  write_backup_with_wal(*archive.opened, kParent, 40, 42);
  const TestRepository to;
  const auto target = to.open();
  const CopyOptions onward{.wal = CopiedWal::kOnward};
  const CopyPlan plan = plan_of(*archive.opened, *target, kParent, onward);
  const CopiedBackup copied = copy_one(*archive.opened, *target, kParent, onward);
  EXPECT_EQ(plan.wal_missing, copied.wal_copied);
  EXPECT_EQ(plan.wal_there, copied.wal_there);
  EXPECT_EQ(copied.wal_copied, 21U);
}

}  // namespace
}  // namespace holdfast::test
