#pragma once
// How many random targets the model tests recover to, on which server. The ordinary run shares the
// kinds of targets out among the versions; the wide one has all of them on each.

#include <algorithm>
#include <vector>

#include "support/archived_cluster.h"

namespace holdfast::test {

// With each kind in each round: hundreds of targets in a wide run, whatever the number of versions.
inline int rounds_of_targets() {
  constexpr int kWideRounds = 40;
  const int versions = static_cast<int>(available_servers().size());
  return is_wide_run() ? std::max(kWideRounds / versions, 8) : 1;
}

inline std::vector<int> kinds_of_targets(int count, const ServerPrograms& server) {
  const auto servers = available_servers();
  const auto own = std::ranges::find(servers, server.major_version, &ServerPrograms::major_version);
  const auto turn = static_cast<int>(own - servers.begin());
  std::vector<int> kinds;
  for (int kind = 0; kind < count; ++kind) {
    const bool is_mine = kind % static_cast<int>(servers.size()) == turn;
    if (is_mine || is_wide_run()) kinds.push_back(kind);
  }
  return kinds;
}

}  // namespace holdfast::test
