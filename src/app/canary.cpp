#include "app/canary.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>

#include "core/cancellation.h"
#include "core/error.h"
#include "core/log.h"
#include "postgres/connection.h"

namespace holdfast {
namespace {

using CanaryState = CanaryAnswer::State;

constexpr std::chrono::minutes kLongestWait{1};
constexpr int kMostDoublings = 10;

// First of all, and fully qualified: from here on no name means somebody else's function.
constexpr const char* kSafeNames =
    "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false)";
// Limits in milliseconds; a commit that waited for a standby would stand as long as that is away.
constexpr const char* kLimits =
    "select set_config('application_name', 'holdfast canary', false), "
    "set_config('statement_timeout', '5000', false), set_config('lock_timeout', '1000', false), "
    "set_config('idle_in_transaction_session_timeout', '10000', false), "
    "set_config('synchronous_commit', 'local', false)";

// What there is, and whose.
constexpr const char* kLook =
    "select pg_is_in_recovery() or current_setting('transaction_read_only')::bool, "
    "pg_backend_pid(), n.oid is not null, coalesce(o.rolsuper or o.rolname = current_user, false), "
    "c.oid is not null, "
    "coalesce((p.rolsuper or p.rolname = current_user) and c.relkind = 'r', false) "
    "from (select 1) one left join pg_namespace n on n.nspname = 'holdfast' "
    "left join pg_roles o on o.oid = n.nspowner "
    "left join pg_class c on c.relnamespace = n.oid and c.relname = 'canary' "
    "left join pg_roles p on p.oid = c.relowner";

constexpr const char* kCreateSchema = "create schema if not exists holdfast";
constexpr const char* kCreateTable =
    "create table if not exists holdfast.canary (number bigint primary key, "
    "written timestamptz not null, lsn pg_lsn not null)";

// Of this database. The number is "canary" in ASCII.
constexpr const char* kTryLock = "select pg_try_advisory_lock(109270114857593)";
// At once: the session ends a moment later.
constexpr const char* kUnlock = "select pg_advisory_unlock(109270114857593)";

constexpr const char* kWrite =
    "with newest as (select coalesce(max(number), 0) as number from holdfast.canary), "
    "gone as (delete from holdfast.canary c using newest n where c.number <= n.number + 1 - $1) "
    "insert into holdfast.canary (number, written, lsn) "
    "select number + 1, clock_timestamp(), pg_current_wal_insert_lsn() from newest "
    "returning number, (extract(epoch from written) * 1000000)::bigint, lsn";

constexpr const char* kRead =
    "select number, (extract(epoch from written) * 1000000)::bigint, lsn from holdfast.canary "
    "order by number desc limit 1";

// A plain table of a trusted role, whose columns are of PostgreSQL's own types.
constexpr const char* kIsOurs =
    "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
    "join pg_roles r on r.oid = c.relowner and (r.rolsuper or r.rolname = $1) "
    "join pg_attribute a on a.attrelid = c.oid and not a.attisdropped "
    "where n.nspname = 'holdfast' and c.relname = 'canary' and c.relkind = 'r' "
    "and (a.attname, a.atttypid) in (('number', 'bigint'::regtype), "
    "('written', 'timestamptz'::regtype), ('lsn', 'pg_lsn'::regtype))";

template <class Integer>
Integer number_in(const std::optional<std::string>& text) {
  Integer value = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

bool is_true(const std::optional<std::string>& text) {
  return text == "t";
}

CanaryRow row_of(const Connection::Row& row) {
  return {.number = number_in<std::uint64_t>(row.at(0)),
          .written = Timestamp(std::chrono::microseconds(number_in<std::int64_t>(row.at(1)))),
          .lsn = row.at(2).value_or("")};
}

[[noreturn]] void refuse_foreign(const std::string& what) {
  throw Error(
      ErrorKind::kRefused, "it belongs to another role, whose code the canary could run",
      {.object = what,
       .hint = "Give it to the role of postgres.connection (ALTER … OWNER TO), or remove it "
               "if nobody needs it."});
}

// nullopt: nothing may be written now.
std::optional<CanaryState> prepare(Connection& session) {
  session.query(kSafeNames, {});
  session.query(kLimits, {});
  const auto look = [&] { return session.query(kLook, {}).at(0); };
  Connection::Row there = look();
  if (number_in<int>(there.at(1)) != session.announced_backend()) {
    throw Error(
        ErrorKind::kRefused, "the connection goes through a pooler",
        {.object = session.target(), .hint = "Let postgres.connection lead to the server itself."});
  }
  if (is_true(there.at(0))) return CanaryState::kReadOnly;
  if (!is_true(session.query(kTryLock, {}).at(0).at(0))) return CanaryState::kOtherWrites;
  if (!is_true(there.at(2))) session.query(kCreateSchema, {});
  if (is_true(there.at(2)) && !is_true(there.at(3))) refuse_foreign("schema holdfast");
  if (!is_true(there.at(4))) session.query(kCreateTable, {});
  there = look();  // whatever was there first
  if (!is_true(there.at(3))) refuse_foreign("schema holdfast");
  if (!is_true(there.at(5))) refuse_foreign("table holdfast.canary");
  return std::nullopt;
}

// Returns at once when told to stop.
void wait(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, time, [] { return false; });
  check_cancelled(stop);
}

class Loop {
 public:
  Loop(const Config& config, const CanaryLoop& loop, const std::stop_token& stop)
      : config_(config), loop_(loop), stop_(stop) {}

  [[noreturn]] void run() {
    for (;;) {
      const auto began = std::chrono::steady_clock::now();
      once();
      const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now() - began);
      // In step, as long as the server is fast enough.
      wait(failures_ == 0 ? std::max(loop_.interval - taken, std::chrono::milliseconds(0))
                          : longer_wait(),
           stop_);
    }
  }

 private:
  void once() {
    try {
      const CanaryAnswer answer = write_canary(config_, stop_);
      if (failures_ > 0) {
        log_warning("the canary has its server back",
                    {{"attempts", std::to_string(failures_)},
                     {"state", std::string(to_string(answer.state))}});
      }
      failures_ = 0;
      answered_ = true;
      if (loop_.answered) loop_.answered(answer);
    } catch (const Error& error) {
      const bool may_pass =
          error.kind() == ErrorKind::kPostgres && (answered_ || error.retryable());
      if (!may_pass) throw;
      ++failures_;
      // Once: it may be away for days.
      log(failures_ == 1 ? LogLevel::kWarning : LogLevel::kDebug,
          "the canary could not write; it tries again", {{"error", error.message()}});
    }
  }

  std::chrono::milliseconds longer_wait() const {
    const auto first = std::max<std::chrono::milliseconds>(loop_.interval, std::chrono::seconds(1));
    if (first >= kLongestWait) return first;
    const auto wanted = first * (1U << static_cast<unsigned>(std::min(failures_, kMostDoublings)));
    return std::min<std::chrono::milliseconds>(wanted, kLongestWait);
  }

  const Config& config_;
  const CanaryLoop& loop_;
  const std::stop_token& stop_;
  int failures_ = 0;
  bool answered_ = false;
};

}  // namespace

std::string_view to_string(CanaryAnswer::State state) {
  switch (state) {
    case CanaryState::kWritten:
      return "written";
    case CanaryState::kReadOnly:
      return "read-only";
    case CanaryState::kOtherWrites:
      break;
  }
  return "another writes";
}

CanaryAnswer write_canary(const Config& config, const std::stop_token& stop) {
  Connection session(config.postgres.connection, stop);
  if (const auto why_not = prepare(session)) return {.state = *why_not};
  const auto rows = session.query(kWrite, {std::to_string(config.canary.keep)});
  session.query(kUnlock, {});
  return {.state = CanaryState::kWritten, .row = row_of(rows.at(0))};
}

void run_canary(const Config& config, const CanaryLoop& loop, const std::stop_token& stop) {
  Loop(config, loop, stop).run();
}

std::optional<CanaryRow> last_canary_row(const CanaryPlace& place, const std::stop_token& stop) {
  constexpr int kColumns = 3;
  Connection session(place.connection, stop);
  session.query(kSafeNames, {});
  if (number_in<int>(session.query(kIsOurs, {place.role}).at(0).at(0)) != kColumns) {
    return std::nullopt;
  }
  const auto rows = session.query(kRead, {});
  if (rows.empty()) return std::nullopt;
  return row_of(rows.at(0));
}

}  // namespace holdfast
