#pragma once
// Decorator: behaves as S3's frozen storage classes do, around any store, so that thawing can be
// tested where no such server is. Objects whose name contains one of the given parts are listed in
// the class; reading one is refused until it was asked for and its time has passed.
//
// What was asked for is kept in a file, one line for each request that started something, so that
// it outlives the program as it would in S3, and a test can count requests.
//
// For the program itself: HOLDFAST_STORE_GLACIER=CLASS:MILLISECONDS:PART[,PART…]:FILE, for example
//   GLACIER:1500:/pack/,/wal/:/tmp/thaws
// Threads: as every store.

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/object_store.h"

namespace holdfast {

struct GlacierPlan {
  std::string storage_class;
  std::chrono::milliseconds thaw_time{0};
  std::vector<std::string> name_parts;
  std::filesystem::path requests;  // the file; made when it is not there
};

// Throws kUsage for text that is no plan.
GlacierPlan parse_glacier_plan(std::string_view text);

std::unique_ptr<ObjectStore> make_glacier_store(std::unique_ptr<ObjectStore> inner,
                                                GlacierPlan plan);

}  // namespace holdfast
