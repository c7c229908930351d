#pragma once
// The requests of an ObjectStore as values, for the decorators that count them or make them fail.

#include <array>
#include <cstddef>
#include <string_view>

namespace holdfast {

enum class StoreOperation { kPut, kGet, kGetRange, kHead, kList, kRemove, kRemoveMany, kNow };

inline constexpr std::array<std::string_view, 8> kStoreOperationNames{
    "put", "get", "get_range", "head", "list", "remove", "remove_many", "now"};

inline std::string_view to_string(StoreOperation operation) {
  return kStoreOperationNames[static_cast<std::size_t>(operation)];
}

}  // namespace holdfast
