#pragma once
// A number with its noun: "1 segment", "2 segments", "0 segments". Pure.

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

// `many` is for what does not end in 's': {"repository", "repositories"}.
inline std::string counted(std::uint64_t count, std::string_view one, std::string_view many = {}) {
  std::string text = std::to_string(count) + " ";
  if (count == 1) return text.append(one);
  return many.empty() ? text.append(one) + "s" : text.append(many);
}

}  // namespace holdfast
