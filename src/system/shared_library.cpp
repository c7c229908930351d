#include "system/shared_library.h"

#include <utility>

#include <dlfcn.h>
#include <fmt/format.h>

#include "core/error.h"

namespace holdfast {

SharedLibrary::SharedLibrary(std::string name, const std::string& package)
    : name_(std::move(name)), handle_(::dlopen(name_.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ != nullptr) return;
  throw Error(ErrorKind::kHost, fmt::format("a library cannot be loaded: {}", ::dlerror()),
              {.object = name_,
               .hint = fmt::format(
                   "Install it (Debian: apt-get install {}). Where it is in a folder of its "
                   "own, name that in /etc/ld.so.conf.d and run ldconfig.",
                   package)});
}

void* SharedLibrary::address(const char* name) const {
  void* const found = ::dlsym(handle_, name);
  if (found != nullptr) return found;
  throw Error(ErrorKind::kHost, fmt::format("the library has no function {}", name),
              {.object = name_, .hint = "It is older than Holdfast needs; bring it up to date."});
}

}  // namespace holdfast
