#pragma once
// The canary: a row with time and position in the cluster's WAL, written every few seconds into
// holdfast.canary in the database of postgres.connection. The last one in a recovered copy says how
// much of what was written came back (app/drill.h).
//
// It stands in nobody's way: each row has a connection of its own, which is gone a moment later, so
//   no session keeps a shutdown or a CREATE DATABASE waiting; its statements have a time limit and
//   a shorter one for locks; its commit waits for no standby. Two canaries do no harm: one at a
//   time writes, and what one does not get at once it leaves out. No more than `keep` rows stay.
// On a standby, and where transactions may not write, nothing is written and the server's log stays
//   silent.
// It runs nobody else's code: schema and table must belong to the role that writes, or to a
//   superuser. Else a role that may create schemas could have made one with a trigger, for a
//   superuser's canary to run.
// What it costs: a segment of WAL every archive_timeout, also where nobody else writes.
// Errors: kRefused for a schema or table of somebody else and for a pooler; kPostgres;
//   kConfiguration; kCancelled. Threads: any; nothing is shared.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "core/time.h"

namespace holdfast {

struct CanaryRow {
  std::uint64_t number = 0;  // from 1, without holes
  Timestamp written{};       // by the server's clock
  std::string lsn;           // that WAL had reached
};

struct CanaryAnswer {
  enum class State {
    kWritten,
    kReadOnly,  // a standby, or default_transaction_read_only
    kOtherWrites,
  };
  State state = State::kWritten;
  CanaryRow row = {};  // of kWritten
};
std::string_view to_string(CanaryAnswer::State state);  // "written", "read-only", "another writes"

// One row, or none. Makes schema and table where they are missing.
CanaryAnswer write_canary(const Config& config, const std::stop_token& stop);

inline constexpr std::chrono::seconds kCanaryInterval{5};

// Row after row, until it is told to stop: then kCancelled. A server that is away is asked again
// after longer and longer times, up to a minute. What is wrong before the first answer and does not
// pass by itself is thrown.
struct CanaryLoop {
  std::chrono::milliseconds interval = kCanaryInterval;
  std::function<void(const CanaryAnswer&)> answered = {};
};
[[noreturn]] void run_canary(const Config& config, const CanaryLoop& loop,
                             const std::stop_token& stop);

// The newest row of a recovered copy. nullopt: there was no canary, or something else has its name:
// reading that could run its owner's code.
struct CanaryPlace {
  std::string connection;  // to the database in which it wrote
  std::string role;        // that wrote; or a superuser did
};
std::optional<CanaryRow> last_canary_row(const CanaryPlace& place, const std::stop_token& stop);

}  // namespace holdfast
