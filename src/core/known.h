#pragma once
// The value of an optional that an earlier step is sure to have set.
// Errors: std::logic_error with the place in the source where it is missing all the same, which is
// a mistake of ours and better said than read as undefined memory.

#include <optional>
#include <source_location>
#include <stdexcept>

#include <fmt/format.h>

namespace holdfast {

[[noreturn]] inline void throw_unknown(const std::source_location& where) {
  throw std::logic_error(fmt::format("{}:{}: a value is missing that an earlier step sets",
                                     where.file_name(), where.line()));
}

template <class T>
T& known(std::optional<T>& value,
         const std::source_location& where = std::source_location::current()) {
  if (!value) throw_unknown(where);
  return *value;
}

template <class T>
const T& known(const std::optional<T>& value,
               const std::source_location& where = std::source_location::current()) {
  if (!value) throw_unknown(where);
  return *value;
}

// Of a temporary.
template <class T>
T known(std::optional<T>&& value,
        const std::source_location& where = std::source_location::current()) {
  if (!value) throw_unknown(where);
  return *std::move(value);
}

}  // namespace holdfast
