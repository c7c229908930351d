// The record of a recovery, from which every `recover` command learns what to do and where.

#include "app/recovery_record.h"

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

void run(ByteView input) {
  const RecoveryRecord record = parse_recovery_record(std::string(as_text(input)), "here");
  const std::string json = to_json(record);
  HF_INVARIANT(to_json(parse_recovery_record(json, "here")) == json);
  record.is_being_abandoned();
  record.is_being_rolled_back();
  record.has_done_since_turn("promote");
}

RecoveryRecord small() {
  RecoveryRecord record{.name = "look",
                        .cluster = "demo",
                        .began = "2026-01-01T00:00:00Z",
                        .repository = "hot",
                        .backup = "20260101T000000Z-0001",
                        .history = "0001-77",
                        .folder = "/srv/look",
                        .server_folder = "/tmp/holdfast-abc",
                        .major_version = 17,
                        .from = {0x1000028},
                        .to = {0x2000000},
                        .restore_command = "x"};
  record.steps = {{.name = "restore",
                   .began = "2026-01-01T00:00:00Z",
                   .ended = "2026-01-01T00:00:01Z",
                   .result = RecoveryStep::Result::kDone,
                   .detail = "d",
                   .by = "b",
                   .host = "h"}};
  return record;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all{to_bytes(as_bytes(to_json(small())))};
  RecoveryRecord full = small();
  full.target.kind = RecoveryTarget::Kind::kTime;
  full.target.time = Timestamp(std::chrono::seconds(1'767'225'600));
  full.target.timeline = {RecoveryTimeline::Kind::kNumber, {2}};
  full.verdict = RecoveryVerdict{.time = "2026-01-01T00:00:02Z",
                                 .at = "0/2000000",
                                 .by = "b",
                                 .passed = true,
                                 .checks = {{.name = "rows", .detail = "3"}}};
  full.approvals = {{.by = "g", .time = "2026-01-01T00:00:03Z", .host = "h"}};
  full.promotion = RecoveryPromotion{.lost = "",
                                     .backup = "20260101T000000Z-0002",
                                     .place = "/var/lib/data",
                                     .aside = "/var/lib/data.replaced",
                                     .start_options = {"-D", "/var/lib/data"},
                                     .differing = {"pg_hba.conf"}};
  full.steps.push_back({.name = "rollback: start server", .began = "2026-01-01T00:00:04Z"});
  all.push_back(to_bytes(as_bytes(to_json(full))));
  return all;
}

HOLDFAST_FUZZ_TARGET(recovery_record, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
