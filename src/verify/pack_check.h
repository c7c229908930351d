#pragma once
// Reads whole packs and authenticates them: the container's checksum, that it is the very pack that
// the manifest means (repository, kind, salt), and every chunk's tag.
// Memory: one pack per thread, and 12 bytes for each chunk of the packs whose tables are kept.
// Threads: check() from any number, each for another pack; find() when no check() runs.

#include <cstdint>
#include <stop_token>
#include <unordered_map>
#include <vector>

#include "repository/catalogue.h"
#include "repository/chunk_reader.h"
#include "repository/container.h"
#include "verify/findings.h"

namespace holdfast {

enum class PackState { kNotChecked, kIntact, kDamaged, kMissing };

struct CheckedPack {
  PackState state = PackState::kNotChecked;
  std::vector<ChunkPlace> chunks;  // of an intact data pack, by offset
};

class PackChecker {
 public:
  PackChecker(const Repository& repository, ChunkReader& chunks, Findings& findings)
      : repository_(repository), chunks_(chunks), findings_(findings) {}

  // Missing or damaged packs become findings. Throws what says nothing about the pack itself.
  CheckedPack check(const CitedPack& cited, const std::stop_token& stop) const;

 private:
  void check_header(const CitedPack& cited, const ContainerHeader& header) const;

  const Repository& repository_;
  ChunkReader& chunks_;
  Findings& findings_;
};

}  // namespace holdfast
