#include "storage/leftovers.h"

namespace holdfast {

std::uint64_t remove_leftovers(ObjectStore& store, const std::string& prefix,
                               const std::stop_token& stop) {
  auto* leaving = dynamic_cast<Leftovers*>(&store);
  return leaving == nullptr ? 0 : leaving->remove_leftovers(prefix, stop);
}

}  // namespace holdfast
