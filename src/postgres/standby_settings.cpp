#include "postgres/standby_settings.h"

#include "core/bytes.h"
#include "postgres/control_file.h"

namespace holdfast {
namespace {

// Behind wal_level (172) and wal_log_hints (176); the same in 13 to 18.
constexpr std::size_t kConnectionsAt = 180;
constexpr std::size_t kWorkersAt = 184;
constexpr std::size_t kSendersAt = 188;
constexpr std::size_t kPreparedAt = 192;
constexpr std::size_t kLocksAt = 196;
constexpr std::size_t kCommitTimestampsAt = 200;  // one byte

}  // namespace

StandbySettings read_standby_settings(const std::filesystem::path& data_directory) {
  const ControlFileImage image = read_control_file(data_directory);  // its checksum matches
  const auto number = [&](std::size_t at) {
    return static_cast<int>(load_le<std::uint32_t>(image.content.data() + at));
  };
  return {.max_connections = number(kConnectionsAt),
          .max_worker_processes = number(kWorkersAt),
          .max_wal_senders = number(kSendersAt),
          .max_prepared_transactions = number(kPreparedAt),
          .max_locks_per_transaction = number(kLocksAt),
          .track_commit_timestamp = image.content.at(kCommitTimestampsAt) != std::byte{0}};
}

bool covers(const StandbySettings& settings, const StandbySettings& least) {
  return settings.max_connections >= least.max_connections &&
         settings.max_worker_processes >= least.max_worker_processes &&
         settings.max_wal_senders >= least.max_wal_senders &&
         settings.max_prepared_transactions >= least.max_prepared_transactions &&
         settings.max_locks_per_transaction >= least.max_locks_per_transaction;
}

}  // namespace holdfast
