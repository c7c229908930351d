#include "app/as_of.h"

#include "app/open.h"
#include "core/error.h"
#include "core/known.h"
#include "restore/target_time.h"

namespace holdfast {
namespace {

Timestamp parse_as_of(const Config& config, const std::string& text) {
  const Timestamp now = system_clock().now();
  const Timestamp time = parse_target_time(text, now, known(TimeZone::find(config.timezone))).time;
  if (time > now) {
    throw Error(ErrorKind::kUsage, "--as-of looks back, and this time has not come yet",
                {.object = text, .hint = "For example: --as-of '2026-11-22 14:00:00+01' or -1h"});
  }
  return time;
}

}  // namespace

void see_as_of(Config& config, const std::string& repository, const std::string& time) {
  const std::string name = find_repository(config, repository).name;
  for (RepositoryConfig& each : config.repositories) {
    if (each.name != name) continue;
    each.as_of = parse_as_of(config, time);
    open_store(store_options(each));  // a folder is refused here
  }
}

UndeleteAnswer undelete(const Config& config, const RepositoryConfig& repository,
                        const UndeleteRequest& request, const std::stop_token& stop) {
  const Timestamp as_of = parse_as_of(config, request.as_of);
  const auto store = open_store(store_options(repository));
  const auto act = request.really == ReallyDo::kYes ? UndeleteOptions::Act::kBringBack
                                                    : UndeleteOptions::Act::kLook;
  return in_repository(repository, [&] {
    return UndeleteAnswer{.as_of = as_of,
                          .undeleted = undelete(*store,
                                                {.cluster = config.cluster,
                                                 .as_of = as_of,
                                                 .act = act,
                                                 .key = key_source(repository.encryption)},
                                                stop)};
  });
}

}  // namespace holdfast
