#pragma once
// The epoch of a transaction id in archived WAL. WAL has the lower 32 bits of an id; the control
// file of a backup has the full id that was the next one at its checkpoint, and an id in the WAL
// behind it is less than 2^31 away: PostgreSQL stops before it gives out ids that are further from
// the oldest that is in use.
// Errors: those of the store. Threads: any. Memory: one chunk.

#include <cstdint>
#include <optional>
#include <stop_token>

#include "repository/catalogue.h"

namespace holdfast {

// The id with its epoch in the upper half; nullopt when the backup's control file cannot be read.
std::optional<std::uint64_t> full_xid(const Repository& repository, const CatalogueEntry& backup,
                                      std::uint32_t xid, const std::stop_token& stop);

// The id nearest to `next` whose lower half is `xid`. Pure.
std::uint64_t nearest_full_xid(std::uint64_t next, std::uint32_t xid);

}  // namespace holdfast
