#pragma once
// How far a repository is behind the first one, as the helper saw it last: one small file for each
// in <state directory>/wal. It informs, and saves listings: `complete_until` says up to which
// object of a timeline everything was there. Losing it costs one complete comparison.
//
// It counts only for the repositories that it names by URL and by id; another one behind the same
// name in the configuration, or in the same place, is compared from the start.
// Crashes: published by rename without fsync. Errors: kHost. Threads: any.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "core/time.h"

namespace holdfast {

struct RepositoryLag {
  std::string repository;  // its name in the configuration
  std::string url;
  std::string first_url;
  std::string ids = {};       // of both; empty: neither was reached yet
  Timestamp checked = {};     // when this was true
  std::uint64_t missing = 0;  // files that the first has and this one lacks
  std::string oldest;         // the first of them, as an object's name
  std::optional<Timestamp> behind_since = {};
  std::string failure = {};  // why it could not be brought up to date; empty: it could
  std::optional<Timestamp> compared = {};  // when everything was compared last
  // Prefix of a timeline → object: where the next comparison begins, and what is known to be there.
  std::map<std::string, std::string> complete_until = {}, there_until = {};
};

std::optional<RepositoryLag> read_lag(const std::filesystem::path& state_directory,
                                      const std::string& repository);
void write_lag(const std::filesystem::path& state_directory, const RepositoryLag& lag);

// One line for people: "cold lacks 3 WAL files, the oldest 0001-…, since …: connection refused".
std::string describe(const RepositoryLag& lag);

}  // namespace holdfast
