#pragma once
// Invariant 1, in one place: an object is created, never overwritten, and a put whose answer was
// lost is settled by reading back.

#include <stop_token>
#include <string>

#include "storage/object_store.h"

namespace holdfast {

enum class WriteOnceOutcome {
  kCreated,       // by this call
  kSameContent,   // the very same bytes were there: an earlier attempt got through
  kOtherContent,  // somebody else was first
};

WriteOnceOutcome try_put_once(ObjectStore& store, const std::string& name, ByteView content,
                              ObjectClass object_class, const std::stop_token& stop);

// As above, where nobody else can have a reason to write this name: other content is kRefused.
void put_once(ObjectStore& store, const std::string& name, ByteView content,
              ObjectClass object_class, const std::stop_token& stop);

}  // namespace holdfast
