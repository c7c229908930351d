#pragma once
// A store as it would be if one of its objects had rotted: whoever reads that object gets every
// kDamagedEvery-th byte of it wrong, the same ones each time. Nothing is written: what writes or
// removes is kRefused. For `drill --corrupt`, which shows that damage is noticed.
//
// Threads: as the store within.

#include <memory>
#include <string>

#include "storage/object_store.h"

namespace holdfast {

// No chunk of a pack is so small that it could lie between two of them with its checksum.
inline constexpr std::uint64_t kDamagedEvery = 16;

std::unique_ptr<ObjectStore> make_damaged_view(std::unique_ptr<ObjectStore> store,
                                               std::string object);

}  // namespace holdfast
