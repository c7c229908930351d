// The JSON description of a backup.

#include "repository/backup_info.h"

#include "core/error.h"
#include "fuzz_target.h"

namespace holdfast::fuzz {
namespace {

void run(ByteView input) {
  const std::string json = to_json(parse_backup_info(as_text(input)));
  HF_INVARIANT(to_json(parse_backup_info(json)) == json);
}

std::vector<Bytes> seeds() {
  BackupInfo info;
  info.name = {"demo", {1, 77}, {"20260101T000000Z-0001"}};
  info.annotations["key"] = "value";
  info.tablespaces.push_back({16400, "space", "/srv/space"});
  info.owners.push_back({26, 26, "postgres", "postgres"});
  info.damaged.push_back({"base/1/2", 3});
  return {to_bytes(as_bytes(to_json(info)))};
}

HOLDFAST_FUZZ_TARGET(backup_info, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
