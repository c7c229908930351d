#include "postgres/session.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "postgres/connection.h"

namespace holdfast {

struct Session::State {
  Connection connection;
  ServerInfo server;
};

namespace {

constexpr int kOldestVersionNum = 130000;
constexpr int kBackupFunctionsRenamedIn = 150000;
constexpr int kVersionNumPerMajor = 10000;

// PostgreSQL's own clock, as microseconds since 1970.
constexpr std::string_view kServerMicroseconds =
    "(extract(epoch from clock_timestamp()) * 1000000)::bigint";

using Rows = std::vector<Session::Row>;

[[noreturn]] void throw_unexpected(std::string_view what) {
  throw Error(ErrorKind::kPostgres, fmt::format("PostgreSQL gave no usable answer for {}", what));
}

// The value in row 0; a statement that must have one.
const std::string& cell(const Rows& rows, std::size_t column, std::string_view what) {
  if (rows.empty() || column >= rows[0].size() || !rows[0][column]) throw_unexpected(what);
  return *rows[0][column];
}

template <class Integer>
Integer parse_integer(std::string_view text, std::string_view what) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) throw_unexpected(what);
  return value;
}

Lsn lsn_cell(const Rows& rows, std::size_t column, std::string_view what) {
  const auto lsn = parse_lsn(cell(rows, column, what));
  if (!lsn) throw_unexpected(what);
  return *lsn;
}

Timestamp timestamp_cell(const Rows& rows, std::size_t column) {
  return Timestamp{std::chrono::microseconds{
      parse_integer<std::int64_t>(cell(rows, column, "its clock"), "its clock")}};
}

TimelineId timeline_cell(const Rows& rows, std::size_t column) {
  return {parse_integer<std::uint32_t>(cell(rows, column, "the timeline"), "the timeline")};
}

void refuse_old_version(const Connection& connection) {
  if (connection.version_num() >= kOldestVersionNum) return;
  throw Error(
      ErrorKind::kRefused,
      fmt::format("the server is PostgreSQL {}", connection.version_num() / kVersionNumPerMajor),
      {.object = connection.target(), .hint = "Holdfast works with PostgreSQL 13 and later."});
}

// A pooler announces a process id of its own making on connecting; one that pools transactions may
// give every statement another backend, and would let backup mode, locks and slots end up in
// sessions of others.
void refuse_pooler(Connection& connection) {
  const std::string sql = "select pg_catalog.pg_backend_pid()";
  const int announced = connection.announced_backend();
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Rows rows = connection.query(sql, {});
    if (parse_integer<int>(cell(rows, 0, "its process id"), "its process id") == announced)
      continue;
    throw Error(ErrorKind::kRefused, "the connection goes through a connection pooler",
                {.object = connection.target(),
                 .hint = "Backup mode, locks and slots live in one session. Give the address of "
                         "the PostgreSQL server itself in postgres.connection, not of PgBouncer "
                         "or the like."});
  }
}

void prepare_session(Connection& connection) {
  connection.query("set search_path = pg_catalog, pg_temp", {});
  for (const char* const timeout :
       {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}) {
    connection.query(fmt::format("set {} = 0", timeout), {});
  }
  constexpr int kIdleSessionTimeoutSince = 140000;
  if (connection.version_num() >= kIdleSessionTimeoutSince) {
    connection.query("set idle_session_timeout = 0", {});
  }
  connection.query("set datestyle = 'ISO'", {});
  connection.query("set timezone = 'UTC'", {});
}

bool ask_in_recovery(Connection& connection) {
  return cell(connection.query("select pg_is_in_recovery()", {}), 0, "its recovery state") == "t";
}

// pg_control knows the timeline of the last checkpoint only, which is the old one for a while after
// a promotion. A primary writes its WAL files with the current one. A standby is on the newest of
// what it receives, what it must replay, and its last restart point.
TimelineId ask_timeline(Connection& connection, bool in_recovery) {
  if (!in_recovery) {
    const Rows rows =
        connection.query("select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)", {});
    const std::string& digits = cell(rows, 0, "the timeline");
    TimelineId timeline;
    std::from_chars(digits.data(), digits.data() + digits.size(), timeline.value, 16);
    if (timeline.value == 0) throw_unexpected("the timeline");
    return timeline;
  }
  return timeline_cell(
      connection.query("select greatest((select max(received_tli) from pg_stat_wal_receiver),"
                       " (select min_recovery_end_timeline from pg_control_recovery()),"
                       " (select timeline_id from pg_control_checkpoint()))",
                       {}),
      0);
}

void read_settings(Connection& connection, ServerInfo& info) {
  // Settings that the role may not see are not in the view.
  const Rows rows = connection.query(
      "select name, setting from pg_settings where name in ('server_version', 'data_checksums',"
      " 'data_directory', 'config_file', 'hba_file', 'ident_file', 'wal_level',"
      " 'wal_segment_size', 'block_size')",
      {});
  for (const Session::Row& row : rows) {
    const std::string name = row[0].value_or("");
    const std::string setting = row[1].value_or("");
    if (name == "server_version") info.version = setting;
    if (name == "data_checksums") info.data_checksums = setting == "on";
    if (name == "data_directory") info.data_directory = setting;
    if (name == "config_file") info.config_file = setting;
    if (name == "hba_file") info.hba_file = setting;
    if (name == "ident_file") info.ident_file = setting;
    if (name == "wal_level") info.wal_level = setting;
    if (name == "wal_segment_size") {
      info.wal_segment_size = {parse_integer<std::uint32_t>(setting, name)};
    }
    if (name == "block_size") info.block_size = parse_integer<std::uint32_t>(setting, name);
  }
  if (!is_valid(info.wal_segment_size)) throw_unexpected("wal_segment_size");
}

ServerInfo read_server(Connection& connection) {
  ServerInfo info;
  info.version_num = connection.version_num();
  read_settings(connection, info);
  info.in_recovery = ask_in_recovery(connection);
  info.timeline = ask_timeline(connection, info.in_recovery);
  const Rows rows =
      connection.query("select system_identifier, current_user from pg_control_system()", {});
  // SQL has no unsigned 64-bit type: an identifier above 2^63 comes as a negative number.
  info.system_identifier = static_cast<std::uint64_t>(
      parse_integer<std::int64_t>(cell(rows, 0, "the system identifier"), "the system identifier"));
  info.user = cell(rows, 1, "the current user");
  return info;
}

}  // namespace

Session Session::connect(const std::string& connection, const std::stop_token& stop) {
  auto state = std::make_unique<State>(State{Connection(connection, stop), {}});
  refuse_old_version(state->connection);
  refuse_pooler(state->connection);
  prepare_session(state->connection);
  state->server = read_server(state->connection);
  return Session(std::move(state));
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

std::vector<Session::Row> Session::query(const std::string& sql,
                                         const std::vector<std::string>& parameters) {
  return state_->connection.query(sql, parameters);
}

const ServerInfo& Session::server() const {
  return state_->server;
}

bool Session::in_recovery() {
  return ask_in_recovery(state_->connection);
}

TimelineId Session::timeline() {
  return ask_timeline(state_->connection, in_recovery());
}

Timestamp Session::server_time() {
  return timestamp_cell(query(fmt::format("select {}", kServerMicroseconds)), 0);
}

Lsn Session::insert_position() {
  return lsn_cell(query("select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()"
                        " else pg_current_wal_insert_lsn() end"),
                  0, "its WAL position");
}

Lsn Session::flushed_position() {
  return lsn_cell(query("select case when pg_is_in_recovery()"
                        " then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
                        " else pg_current_wal_flush_lsn() end"),
                  0, "its WAL position");
}

std::vector<TablespaceInfo> Session::tablespaces() {
  const Rows rows = query(
      "select oid, spcname, coalesce(pg_tablespace_location(oid), '') from pg_tablespace"
      " where spcname not in ('pg_default', 'pg_global') order by oid");
  std::vector<TablespaceInfo> result;
  for (const Row& row : rows) {
    TablespaceInfo& tablespace = result.emplace_back();
    tablespace.oid = parse_integer<std::uint32_t>(row[0].value_or(""), "a tablespace");
    tablespace.name = row[1].value_or("");
    tablespace.location = row[2].value_or("");
    // An in-place tablespace is a folder in pg_tblspc, and shown with a relative path.
    if (!tablespace.location.starts_with('/')) tablespace.location.clear();
  }
  return result;
}

bool Session::try_lock(std::int64_t key, std::string& holder) {
  const std::string text = std::to_string(key);
  holder.clear();
  if (cell(query("select pg_try_advisory_lock($1::bigint)", {text}), 0, "the lock") == "t") {
    return true;
  }
  // A 64-bit key is shown as two halves with objsubid 1.
  const Rows rows = query(
      "select coalesce(nullif(a.application_name, ''), 'a program without a name'),"
      " coalesce(host(a.client_addr), 'this server''s own machine'), a.backend_start::text,"
      " l.pid::text from pg_locks l left join pg_stat_activity a on a.pid = l.pid"
      " where l.locktype = 'advisory' and l.granted and l.objsubid = 1"
      " and l.database = (select oid from pg_database where datname = current_database())"
      " and l.classid::bigint = (($1::bigint >> 32) & 4294967295)"
      " and l.objid::bigint = ($1::bigint & 4294967295)",
      {text});
  if (rows.empty()) {
    holder = "a session that has ended since";
    return false;
  }
  holder = fmt::format("{} on {}, connected since {}, server process {}", rows[0][0].value_or(""),
                       rows[0][1].value_or(""), rows[0][2].value_or("an unknown time"),
                       rows[0][3].value_or(""));
  return false;
}

void Session::reserve_wal(const std::string& slot_name) {
  // Name, reserve at once, temporary.
  query("select pg_create_physical_replication_slot($1, true, true)", {slot_name});
}

BackupStart Session::start_backup(const std::string& label, Checkpoint checkpoint) {
  const std::string fast = checkpoint == Checkpoint::kFast ? "true" : "false";
  const bool renamed = state_->server.version_num >= kBackupFunctionsRenamedIn;
  const Rows started =
      query(renamed ? "select pg_backup_start($1, $2::boolean)"
                    : "select pg_start_backup($1, $2::boolean, false)",  // not exclusive
            {label, fast});
  // The checkpoint that the backup starts from is the one that pg_control knows now.
  const Rows rows = query(
      fmt::format("select timeline_id, {} from pg_control_checkpoint()", kServerMicroseconds));
  return {.lsn = lsn_cell(started, 0, "the backup's start"),
          .timeline = timeline_cell(rows, 0),
          .server_time = timestamp_cell(rows, 1)};
}

BackupStop Session::stop_backup() {
  const bool renamed = state_->server.version_num >= kBackupFunctionsRenamedIn;
  const Rows rows =
      query(fmt::format("select lsn, labelfile, spcmapfile, {} from {}", kServerMicroseconds,
                        renamed ? "pg_backup_stop(wait_for_archive => false)"
                                : "pg_stop_backup(exclusive => false, wait_for_archive => false)"));
  const std::string label = cell(rows, 1, "the backup label");
  return {.lsn = lsn_cell(rows, 0, "the backup's end"),
          .backup_label = label,
          .tablespace_map = rows[0][2].value_or(""),
          .server_time = timestamp_cell(rows, 3)};
}

Lsn Session::switch_wal() {
  return lsn_cell(query("select pg_switch_wal()"), 0, "the WAL switch");
}

}  // namespace holdfast
