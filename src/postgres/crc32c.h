#pragma once
// CRC-32C (Castagnoli), as PostgreSQL puts it on its control file and WAL records. Source: RFC
// 3720, appendix B.4 (polynomial 0x1EDC6F41, reflected, initial value and final inversion all
// ones). Uses the processor's instruction where there is one. Cannot fail; safe from any thread.

#include <cstdint>

#include "core/bytes.h"

namespace holdfast {

// The CRC of `bytes`; pass the CRC of what precedes them to go on from there.
std::uint32_t crc32c(ByteView bytes, std::uint32_t preceding = 0);

// The same without processor support: what machines without it run, and what the tests compare to.
std::uint32_t crc32c_portable(ByteView bytes, std::uint32_t preceding = 0);

}  // namespace holdfast
