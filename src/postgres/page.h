#pragma once
// Pages of relations: checksum and LSN. Sources: PostgreSQL storage/bufpage.h (page header) and
// storage/checksum_impl.h (the FNV-1a variant; the algorithm was re-implemented from its
// description, and is tested against pages that a real server wrote).

#include <cstdint>

#include "core/bytes.h"
#include "core/wal_position.h"

namespace holdfast {

inline constexpr std::size_t kPageBytes = 8192;

Lsn page_lsn(ByteView page);

// The checksum that PostgreSQL would store in `page` (kPageBytes long) as block `block` of its
// relation fork, counted over all its files.
std::uint16_t page_checksum(ByteView page, std::uint32_t block);

enum class PageState { kGood, kNew /* all zero */, kBad };
// With checksums enabled in the cluster.
PageState check_page(ByteView page, std::uint32_t block);

}  // namespace holdfast
