#include "app/retention.h"

#include <unistd.h>

#include "app/open.h"
#include "core/error.h"
#include "core/known.h"
#include "restore/target_time.h"

namespace holdfast {
namespace {

std::optional<std::chrono::milliseconds> window_of(const RetentionConfig& config) {
  if (config.window.count() == 0) return std::nullopt;
  return config.window;
}

ExpireOptions expire_options(const Config& config, const RepositoryConfig& repository) {
  const RetentionConfig& retention = repository.retention;
  return {.cluster = config.cluster,
          .policy = {.window = window_of(retention),
                     .keep_last = retention.keep_last,
                     .daily = retention.daily,
                     .weekly = retention.weekly,
                     .monthly = retention.monthly,
                     .yearly = retention.yearly},
          .grace = retention.grace,
          .zone = known(TimeZone::find(config.timezone)),
          .host = host_name()};
}

std::string who(std::string_view command) {
  return fmt::format("{} process {}, {}", host_name(), ::getpid(), command);
}

// "2027-01-01" is the begin of that day.
}  // namespace

std::string space_note(VersioningState versioning) {
  if (versioning == VersioningState::kNone || versioning == VersioningState::kUnknown) return "";
  return "The bucket has versioning: what is removed stays as older versions, and its space is "
         "free "
         "only when\nthe bucket's rules remove those. Until then 'holdfast undelete' brings it "
         "back.\n";
}

ExpireResult expire(const Config& config, const RepositoryConfig& repository,
                    const ExpireRequest& request, const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  ExpireOptions options = expire_options(config, repository);
  options.consent = request.consent;
  return in_repository(repository, [&] {
    return request.really == ReallyDo::kYes ? run_expire(*opened, options, stop)
                                            : preview_expire(*opened, options, stop);
  });
}

DeleteAnswer delete_backup(const Config& config, const RepositoryConfig& repository,
                           const DeleteRequest& request, const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  DeleteAnswer answer{.entry = find_listed_backup(*opened, config.cluster, request.backup, stop),
                      .deletion = {}};
  answer.deletion =
      request_deletion(*opened, expire_options(config, repository),
                       {.backup = answer.entry.name, .reason = request.reason},
                       request.really == ReallyDo::kYes ? MarkIt::kYes : MarkIt::kNo, stop);
  return answer;
}

HoldAnswer hold_backup(const Config& config, const RepositoryConfig& repository,
                       const HoldRequest& request, const std::stop_token& stop) {
  const Timestamp now = system_clock().now();
  const Timestamp until =
      parse_day_or_time(request.until, now, known(TimeZone::find(config.timezone)));
  if (until <= now) {
    throw Error(ErrorKind::kUsage, "a hold ends in the future",
                {.object = request.until, .hint = "For example: --until 2027-01-01"});
  }
  const auto opened = open_repository(repository, stop);
  HoldAnswer answer{
      .backup = find_listed_backup(*opened, config.cluster, request.backup, stop).name, .hold = {}};
  answer.hold = {.backup = answer.backup,
                 .until = until,
                 .reason = request.reason,
                 .time = to_rfc3339_seconds(now),
                 .by = who("hold")};
  const HoldPlaced placed = place_hold(*opened, answer.hold, stop);
  answer.hold.number = placed.number;
  answer.brought_back = placed.brought_back;
  return answer;
}

ReleaseAnswer release_backup(const Config& config, const RepositoryConfig& repository,
                             const std::string& wanted, const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  ReleaseAnswer answer{.backup = find_listed_backup(*opened, config.cluster, wanted, stop).name};
  answer.was_held = release_hold(*opened, answer.backup, who("release"), stop);
  return answer;
}

}  // namespace holdfast
