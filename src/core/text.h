#pragma once
// Text forms of sizes, durations and JSON strings, and their strict parsing.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

std::string json_quoted(std::string_view text);  // with quotes; invalid UTF-8 becomes U+FFFD
std::string human_bytes(std::uint64_t bytes);    // "1.2 GiB"
std::string human_duration(std::chrono::duration<double> duration);  // "1 h 2 min", "3.4 s"

// "64MiB", "1 GiB", "512KiB", "4096", "2TiB"; also KB/MB/GB/TB as powers of 1000.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
// "30d", "1h", "5min", "20s", "500ms", "1h30min", "2w", "7y" (years of 365.25 days), "0". Nothing
// beyond kMaxDuration: whatever is parsed still fits the clocks, which count nanoseconds in 64
// bits.
inline constexpr std::chrono::milliseconds kMaxDuration = std::chrono::hours{24 * 366 * 100};
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// The candidate with the smallest edit distance to `word`, if it is close enough to be a typing
// error. For "did you mean".
template <class Range>
std::optional<std::string> nearest(std::string_view word, const Range& candidates);
std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::optional<std::string> nearest(std::string_view word, const Range& candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = word.size() / 3 + 2;
  for (const auto& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = std::string(candidate);
    }
  }
  return best;
}

}  // namespace holdfast
