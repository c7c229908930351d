#pragma once
// Cooperative cancellation: a std::stop_token is passed down; the program's signal handler (or a
// test) holds the source. Every loop that can last longer than a moment calls check_cancelled().

#include <stop_token>

#include "core/error.h"

namespace holdfast {

inline void check_cancelled(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ErrorKind::kCancelled, "interrupted");
}

}  // namespace holdfast
