#include "app/clock.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"

namespace holdfast {
namespace {

template <class Ask>
ClockReading between_two_looks(std::string whose, const Clock& here, Ask ask) {
  const Timestamp before = here.now();
  const Timestamp there = ask();
  const Timestamp after = here.now();
  return {std::move(whose), there - (before + (after - before) / 2)};
}

}  // namespace

ClockReading read_clock(Session& session, const Clock& here) {
  return between_two_looks("PostgreSQL", here, [&] { return session.server_time(); });
}

ClockReading read_clock(ObjectStore& store, const std::stop_token& stop, const Clock& here) {
  return between_two_looks("the repository", here, [&] { return store.now(stop); });
}

ClockGap widest_gap(const std::vector<ClockReading>& readings) {
  std::vector<ClockReading> all = readings;
  all.push_back({"this machine", {}});
  const auto [behind, ahead] = std::ranges::minmax_element(all, {}, &ClockReading::ahead);
  return {ahead->whose, behind->whose, ahead->ahead - behind->ahead};
}

std::optional<std::string> clock_warning(const std::vector<ClockReading>& readings) {
  const ClockGap widest = widest_gap(readings);
  if (widest.gap <= kClocksApartMax) return std::nullopt;
  return fmt::format("the clock of {} is {} ahead of the clock of {}", widest.ahead,
                     human_duration(widest.gap), widest.behind);
}

}  // namespace holdfast
