#include "repository/write_once.h"

#include <algorithm>

#include "core/error.h"

namespace holdfast {

WriteOnceOutcome try_put_once(ObjectStore& store, const std::string& name, ByteView content,
                              ObjectClass object_class, const std::stop_token& stop) {
  if (store.put(name, content, {.object_class = object_class}, stop) == PutOutcome::kCreated) {
    return WriteOnceOutcome::kCreated;
  }
  const auto there = store.get(name, stop);
  if (!there) {
    throw Error(ErrorKind::kRepository,
                "the store said that the object exists, then that it does not",
                {.object = name, .retryable = true});
  }
  return std::ranges::equal(*there, content) ? WriteOnceOutcome::kSameContent
                                             : WriteOnceOutcome::kOtherContent;
}

void put_once(ObjectStore& store, const std::string& name, ByteView content,
              ObjectClass object_class, const std::stop_token& stop) {
  if (try_put_once(store, name, content, object_class, stop) == WriteOnceOutcome::kOtherContent) {
    throw Error(ErrorKind::kRefused, "an object of this name is there already, with other content",
                {.object = name,
                 .hint = "Nothing was overwritten. Another program writes to this repository; find "
                         "out which before you go on."});
  }
}

}  // namespace holdfast
