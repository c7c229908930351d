#pragma once
// archive-get: one WAL file out of the repositories (invariant 5).
//
// Guarantees: kAbsent is returned only when, in this call, the descriptor of every repository that
//   holds WAL was read and authenticated, and each of them then said that it has no such object and
//   nothing that continues it. Whatever else happens is thrown and means "not known".
//   A file that is returned is complete: every byte was authenticated, and the destination appears
//   by rename after it was synced.
// Crashes, cancellation: "<destination>.holdfast" may stay behind; the next call overwrites it.
// Errors: kUsage for a name that is no WAL file's, kDamage for a gap (it names what is stored
//   behind it), those of the store, kHost where the destination cannot be written.
// Threads: any. Memory: one object of at most 64 MiB and one chunk.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include "repository/wal_object.h"
#include "repository/wal_search.h"
#include "wal/archive.h"

namespace holdfast {

struct GetRequest {
  WalFileName file;
  std::filesystem::path destination;
  HistoryName history;  // of the line that is recovered
  // A standby that goes on asks again and again, and takes an unknown answer for an absent file.
  bool is_standby = false;
};

enum class GetOutcome { kRestored, kAbsent };

GetOutcome get_wal(Archive& archive, const GetRequest& request, const std::stop_token& stop);

// From one repository to `destination`; nullopt when it has no such object. As above, but absence
// is not examined further. For get_wal and for prefetching.
std::optional<WalIdentity> fetch_wal(const Repository& repository, const WalLine& line,
                                     const WalFileName& file,
                                     const std::filesystem::path& destination,
                                     const std::stop_token& stop);

// The history that the server in `data_directory` follows, where the call does not say: the one
// that it is bound to, else the one that was registered for its system identifier, as the first
// repository says that can be asked.
HistoryName history_to_read(Archive& archive, const std::filesystem::path& data_directory,
                            const std::stop_token& stop);

}  // namespace holdfast
