#include "system/libcurl.h"

#include "core/error.h"
#include "system/shared_library.h"

namespace holdfast {
namespace {

Libcurl load_libcurl() {
  const SharedLibrary library("libcurl.so.4", "libcurl4");
  Libcurl out{};
  library.find(out.global_init, "curl_global_init");
  library.find(out.easy_init, "curl_easy_init");
  library.find(out.easy_cleanup, "curl_easy_cleanup");
  library.find(out.easy_reset, "curl_easy_reset");
  library.find(out.easy_setopt, "curl_easy_setopt");
  library.find(out.easy_getinfo, "curl_easy_getinfo");
  library.find(out.easy_perform, "curl_easy_perform");
  library.find(out.easy_strerror, "curl_easy_strerror");
  library.find(out.multi_init, "curl_multi_init");
  library.find(out.multi_cleanup, "curl_multi_cleanup");
  library.find(out.multi_add_handle, "curl_multi_add_handle");
  library.find(out.multi_remove_handle, "curl_multi_remove_handle");
  library.find(out.multi_perform, "curl_multi_perform");
  library.find(out.multi_poll, "curl_multi_poll");
  library.find(out.multi_wakeup, "curl_multi_wakeup");
  library.find(out.multi_info_read, "curl_multi_info_read");
  library.find(out.slist_append, "curl_slist_append");
  library.find(out.slist_free_all, "curl_slist_free_all");
  if (out.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    throw Error(ErrorKind::kHost, "libcurl cannot be initialised");
  }
  return out;
}

}  // namespace

const Libcurl& libcurl() {
  static const Libcurl functions = load_libcurl();
  return functions;
}

}  // namespace holdfast
