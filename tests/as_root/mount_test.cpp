// A data directory that is a mount point, which only root can make.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/promoting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// One of the file system around it has the same device number. Of this process, and those that it
// starts, alone.
class MountedOnItself {
 public:
  explicit MountedOnItself(const fs::path& folder) : folder_(folder) {
    const bool mounted = ::unshare(CLONE_NEWNS) == 0 &&
                         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) == 0;
    if (!mounted) throw std::runtime_error("cannot mount " + folder.string());
  }
  ~MountedOnItself() { ::umount2(folder_.c_str(), MNT_DETACH); }
  MountedOnItself(const MountedOnItself&) = delete;
  MountedOnItself& operator=(const MountedOnItself&) = delete;

 private:
  const fs::path folder_;
};

TEST(AMountPoint, IsRefusedByAPromotionBeforeAnythingIsStopped) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ArchivedCluster cluster;
  Promoting recover(cluster);
  cluster.server().sql("create table t as select 1 as n");
  cluster.holdfast().backup({"--type", "full"});
  cluster.archive();
  cluster.holdfast().settings().lines = {"recover: {approvals: 0}"};
  recover.must({"start"});
  recover.must({"check"});
  const pid_t server = postmaster_of(recover.place());
  const std::vector<std::string> promote{"promote", "--confirm", "demo"};
  const auto refused_with_mounted = [&](const fs::path& folder, const std::string& because) {
    const MountedOnItself mounted(folder);
    const Answer refused = recover.run(promote);
    EXPECT_EQ(refused.outcome.exit_code, 3) << refused.text();
    EXPECT_NE(refused.error().find(because), std::string::npos) << refused.text();
    EXPECT_NE(refused.error().find("docs/promotion.md"), std::string::npos) << refused.text();
    EXPECT_EQ(postmaster_of(recover.place()), server);
    EXPECT_EQ(cluster.server().sql("select count(*) from t"), "1");
  };
  refused_with_mounted(recover.place(), "is a mount point");
  for (const char* const folder : {"pg_wal", "pg_wal/archive_status", "base/1"}) {
    refused_with_mounted(recover.place() / folder, "is mounted inside the data directory");
  }
  EXPECT_EQ(recover.must(promote).at("state"), "promoted");
}

}  // namespace
}  // namespace holdfast::test
