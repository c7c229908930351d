#include "storage/open_store.h"

#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "storage/fault_store.h"
#include "storage/folder_store.h"
#include "storage/glacier_store.h"
#include "storage/rate_store.h"
#include "storage/versioning.h"

namespace holdfast {
namespace {

constexpr std::string_view kFileScheme = "file://";
constexpr std::string_view kS3Scheme = "s3://";

[[noreturn]] void throw_bad_url(const std::string& url, std::string_view why) {
  throw Error(ErrorKind::kConfiguration, fmt::format("the repository URL \"{}\" {}", url, why),
              {.object = url, .hint = "Write file:///absolute/folder or s3://bucket/prefix."});
}

std::string_view without_slashes(std::string_view text) {
  while (text.ends_with('/')) text.remove_suffix(1);
  while (text.starts_with('/')) text.remove_prefix(1);
  return text;
}

std::filesystem::path folder_of(const std::string& url) {
  const std::string path = url.substr(kFileScheme.size());
  if (!path.starts_with('/')) throw_bad_url(url, "does not name an absolute folder");
  if (without_slashes(path).empty()) throw_bad_url(url, "names the root of the file system");
  return path;
}

S3Options bucket_of(const StoreOptions& options) {
  S3Options s3 = options.s3;
  const std::string_view place = std::string_view(options.url).substr(kS3Scheme.size());
  const std::size_t slash = place.find('/');
  s3.bucket = place.substr(0, slash);
  s3.prefix = slash == std::string_view::npos ? "" : without_slashes(place.substr(slash));
  if (s3.bucket.empty()) throw_bad_url(options.url, "names no bucket");
  return s3;
}

std::unique_ptr<ObjectStore> open_bare(const StoreOptions& options) {
  if (options.url.starts_with(kFileScheme)) {
    auto store = make_folder_store(folder_of(options.url));
    if (options.s3.as_of) require_versioning(*store);
    return store;
  }
  if (options.url.starts_with(kS3Scheme)) return make_s3_store(bucket_of(options));
  throw_bad_url(options.url, "begins with neither file:/// nor s3://");
}

}  // namespace

std::unique_ptr<ObjectStore> open_store(const StoreOptions& options) {
  std::unique_ptr<ObjectStore> store = open_bare(options);
  if (const char* glacier = std::getenv("HOLDFAST_STORE_GLACIER")) {
    store = make_glacier_store(std::move(store), parse_glacier_plan(glacier));
  }
  if (const char* faults = std::getenv("HOLDFAST_STORE_FAULTS")) {
    store = make_fault_store(std::move(store), parse_fault_plan(faults));
  }
  store = make_retry_store(std::move(store), options.retry);
  if (options.metrics) store = make_metrics_store(std::move(store), options.metrics);
  if (options.rate > 0) {
    store = make_rate_store(std::move(store), {.bytes_per_second = options.rate});
  }
  return store;
}

void create_store(const StoreOptions& options) {
  if (options.url.starts_with(kFileScheme)) return create_folder_root(folder_of(options.url));
  open_bare(options);  // a wrong URL is told here too
}

}  // namespace holdfast
