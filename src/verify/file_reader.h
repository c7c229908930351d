#pragma once
// Streams part of a file out of a backup: `cat`.
// Memory, errors: repository/file_reader.h. One thread at a time.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "repository/file_reader.h"

namespace holdfast {

struct CatRequest {
  std::string path;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;  // to the end
};
// Streams part of a file of a backup. kNotFound when the backup has no such path, kUsage when it is
// not a file or the offset lies behind its end. Returns the number of bytes.
std::uint64_t cat_file(const Repository& repository, const CatalogueEntry& backup,
                       const CatRequest& request, const FileReader::Sink& sink, StandIns* stand_ins,
                       const std::stop_token& stop);

}  // namespace holdfast
