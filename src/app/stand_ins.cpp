#include "app/stand_ins.h"

#include "app/open.h"

namespace holdfast {

std::unique_ptr<StandIns> stand_ins_for(const Config& config, const RepositoryConfig& repository) {
  std::vector<StandInRepository> others;
  for (const RepositoryConfig& other : config.repositories) {
    if (other.name == repository.name) continue;
    others.push_back({other.name, [&other](const std::stop_token& stop) {
                        return std::shared_ptr<const Repository>(open_repository(other, stop));
                      }});
  }
  if (others.empty()) return nullptr;
  return std::make_unique<StandIns>(std::move(others));
}

}  // namespace holdfast
