#pragma once
// The work of `verify` and `cat`, from the configuration. Nothing is printed here.

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "app/config.h"
#include "app/thaw.h"
#include "core/progress.h"
#include "repository/proof.h"
#include "verify/file_reader.h"
#include "verify/verify.h"

namespace holdfast {

struct VerifyRequest {
  std::optional<std::string> backup;  // none: every backup of the cluster
  VerifyMode mode = VerifyMode::kFull;
  ThawChoice thaw = {};  // of what kFull and kDeep read
};
VerifyResult verify(const Config& config, const RepositoryConfig& repository,
                    const VerifyRequest& request, Progress& progress, const std::stop_token& stop);

// Whether the last proof of a backup says that it cannot be relied on. One that cannot be read, or
// that nobody made, says nothing.
bool speaks_against(const std::optional<ProofRecord>& last);

// Streams to `sink`; returns the number of bytes.
std::uint64_t cat(const Config& config, const RepositoryConfig& repository,
                  const std::string& backup, const CatRequest& request,
                  const FileReader::Sink& sink, const std::stop_token& stop);

}  // namespace holdfast
