// What a look at a restore asks for: room where something would be restored, else none.
#include <gmock/gmock.h>

#include "app/open.h"
#include "app/restore.h"
#include "repository/history.h"
#include "repository/outcome.h"
#include "unit/app/config_testing.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class RestorePreviewTest : public ConfigTest {
 protected:
  // One backup, which carries its WAL, and is larger than any disk.
  void SetUp() override {
    config_ = load(fmt::format("cluster: demo\nstate_directory: {0}/state\nrepositories:\n"
                               "  - {{name: hot, url: 'file://{0}/hot'}}\n",
                               folder_.path().string()))
                  .config;
    const RepositoryConfig& hot = config_.repositories.front();
    create_store(store_options(hot));
    const auto store = open_store(store_options(hot));
    Repository::create(*store, {.key = {}, .key_label = "", .holdfast_version = "test"}, {});
    const auto opened = open_repository(hot, {});
    const HistoryRecord history =
        open_history(*opened, "demo", {.system_identifier = 7340123456789012345, .host = "db1"},
                     {.reason = HistoryReason::kInit}, {});
    BackupInfo info;
    info.name = {"demo", history.name, {"20260101T000001Z-0001"}};
    info.standalone = true;
    info.timeline = TimelineId{1};
    info.start_lsn = Lsn{0x1000028};
    info.stop_lsn = Lsn{0x1000100};
    info.start_time = parse_rfc3339("2026-01-01T00:00:01Z").value();
    info.stop_time = parse_rfc3339("2026-01-01T00:01:01Z").value();
    info.postgres_version_num = 170000;
    info.content_bytes = std::uint64_t{1} << 60U;
    info.owners = {{}};
    commit_backup(*opened,
                  {.committed = true,
                   .time = "2026-01-01T00:01:02Z",
                   .by = "test",
                   .info = info,
                   .manifest_bytes = 1,
                   .manifest_sha256 = std::string(64, '0')},
                  {});
  }
  RestorePreview preview(const RestoreRequest& request) const {
    return preview_restore(config_, config_.repositories.front(), request, {});
  }

  Config config_;
};

TEST_F(RestorePreviewTest, AsksForRoomWhereSomethingWouldBeRestored) {
  try {
    preview({.target = {.data_directory = folder_ / "target"}});
    ADD_FAILURE() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kHost);
    EXPECT_THAT(error.message(), HasSubstr("not enough space"));
  }
}

// As `recover forward` looks: its copy is restored already.
TEST_F(RestorePreviewTest, OfThePlanAloneAsksForNone) {
  EXPECT_EQ(preview({}).backup.name.id.text, "20260101T000001Z-0001");
}

}  // namespace
}  // namespace holdfast
