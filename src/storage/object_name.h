#pragma once
// Which names an object may have in any store, so that a repository can move between backends:
// components of 1 to 200 printable ASCII characters, divided by '/', none of which begins with '.'
// or holds the mark of a temporary file; at most 900 bytes altogether.

#include <string_view>

namespace holdfast {

inline constexpr std::size_t kMaxObjectNameBytes = 900;
inline constexpr std::size_t kMaxNameComponentBytes = 200;

bool is_object_name(std::string_view name);
bool is_name_component(std::string_view component);

// Names are made by Holdfast, so a bad one is Error(kBug).
void require_object_name(std::string_view name);

}  // namespace holdfast
