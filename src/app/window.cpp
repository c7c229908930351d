#include "app/window.h"

#include "app/open.h"
#include "core/error.h"

namespace holdfast {

std::vector<HistoryWindow> window(const Config& config, const RepositoryConfig& repository,
                                  const std::stop_token& stop) {
  const auto opened = open_repository(repository, stop);
  std::vector<HistoryWindow> histories = recoverable_window(*opened, config.cluster, stop);
  if (histories.empty()) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("the repository holds no cluster '{}'", config.cluster),
                {.object = repository.url, .hint = "Run 'holdfast init' first."});
  }
  for (HistoryWindow& history : histories) {
    history.dropped = list_dropped_wal(*opened, {config.cluster, history.record.name}, stop);
  }
  return histories;
}

}  // namespace holdfast
