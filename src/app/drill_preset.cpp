#include "app/drill_preset.h"

#include <algorithm>

#include "core/error.h"
#include "storage/storage_class.h"

namespace holdfast {
namespace {

bool has_target(const DrillRequest& request) {
  const TargetRequest& point = request.point;
  return point.time || point.xid || point.lsn || point.name || point.immediate ||
         request.chance.moment != DrillChance::Moment::kGiven;
}

void apply_monthly(const Config& config, DrillRequest& request) {
  if (has_target(request)) return;
  if (config.drill.monthly_target == "random") {
    request.chance.moment = DrillChance::Moment::kWhereThereIsOne;
  } else {
    request.point.time = config.drill.monthly_target;
  }
}

std::optional<ThawSpeed> speed_of(const std::string& word) {
  for (const ThawSpeed speed : {ThawSpeed::kBulk, ThawSpeed::kStandard, ThawSpeed::kExpedited}) {
    if (word == to_string(speed)) return speed;
  }
  return std::nullopt;
}

void apply_yearly(const Config& config, DrillRequest& request) {
  request.source = DrillSource::kOneRepository;
  request.chance.backup = request.chance.backup || request.backup.empty();
  if (!request.thaw.speed && !config.drill.yearly_thaw.empty()) {
    request.thaw = {.speed = speed_of(config.drill.yearly_thaw), .confirmed = Confirmed::kYes};
  }
}

bool is_frozen(const RepositoryConfig& repository) {
  return is_frozen_class(repository.storage_class.data) ||
         is_frozen_class(repository.storage_class.wal);
}

}  // namespace

std::string apply_preset(const Config& config, DrillPreset preset, const std::string& asked,
                         DrillRequest& request) {
  request.preset = preset;
  if (request.scratch.empty()) request.scratch = config.drill.scratch;
  switch (preset) {
    case DrillPreset::kNone:
      break;
    case DrillPreset::kMonthly:
      apply_monthly(config, request);
      break;
    case DrillPreset::kQuarterly:
      request.source = DrillSource::kRepositories;
      break;
    case DrillPreset::kYearly:
      apply_yearly(config, request);
      if (!asked.empty()) break;
      if (const RepositoryConfig* cold = cold_repository(config)) return cold->name;
      throw Error(ErrorKind::kConfiguration, "no repository is cold",
                  {.object = "drill.yearly.repository",
                   .hint = "Name the repository that keeps backups for years there, or with "
                           "--repo."});
  }
  return asked;
}

const RepositoryConfig* cold_repository(const Config& config) {
  if (!config.drill.yearly_repository.empty()) {
    return &find_repository(config, config.drill.yearly_repository);
  }
  const auto first = [&](auto is_it) {
    const auto found = std::ranges::find_if(config.repositories, is_it);
    return found == config.repositories.end() ? nullptr : &*found;
  };
  if (const auto* copies = first([](const RepositoryConfig& r) { return r.copy.standalone; }))
    return copies;
  if (const auto* frozen = first(is_frozen)) return frozen;
  return first([](const RepositoryConfig& r) { return !r.copy.schedule.empty(); });
}

bool wants_consent_to_thaw(const Config& config, const RepositoryConfig& cold) {
  return is_frozen(cold) && config.drill.yearly_thaw.empty();
}

}  // namespace holdfast
