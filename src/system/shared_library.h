// A shared library that is loaded when something first needs it, not at the start of the program.
//
// libcurl and libpq bring thirty libraries of their own; loading them takes longer than everything
// that archive-push and archive-get do for a segment that is already stored or fetched, and
// PostgreSQL calls those once per segment. So nothing links them; system/libcurl.h and
// postgres/libpq.h hand out their functions.
//
// Throws kHost with the loader's reason when the library or a function of it is missing. What was
// loaded stays until the program ends. Safe from several threads.
#pragma once

#include <string>

namespace holdfast {

class SharedLibrary {
 public:
  // `name` as the loader wants it ("libpq.so.5"); `package` is Debian's, for the message.
  SharedLibrary(std::string name, const std::string& package);

  template <class Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(address(name));
  }

 private:
  void* address(const char* name) const;

  std::string name_;
  void* handle_;
};

}  // namespace holdfast
