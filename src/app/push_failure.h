#pragma once
// What archive-push said when it failed last: <state directory>/wal/push-failure.json. PostgreSQL
// knows that archive_command failed, but not why; its log does, where nobody can look it up.
//
// It informs. Durability: published by rename without fsync. Errors: none; where it cannot be
// written or read there is none. Threads: any.

#include <optional>
#include <string>

#include "app/config.h"
#include "core/error.h"
#include "core/time.h"

namespace holdfast {

struct PushFailure {
  Timestamp time = {};
  std::string file, message, hint = {};
};

void note_push_failure(const Config& config, const std::string& file, const Error& error) noexcept;
std::optional<PushFailure> last_push_failure(const Config& config);

}  // namespace holdfast
