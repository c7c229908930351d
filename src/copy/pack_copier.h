#pragma once
// Copies packs between two repositories, several at once.
//
// Each pack is read whole, authenticated to the last chunk, resealed where the key or the name
// differs (repository/container.h: reseal_pack), and stored create-only; then the trailer of what
// is stored, which carries the checksum of the whole pack, is compared with what was sent.
// A pack that is there already is not read at the source: its header must say that it is this pack
// of this repository, and a listing its size. Where the target's packs cannot be read (ReadBack),
// the size alone has to do. Errors: kDamage, naming the source's object; kRefused, naming the
// target's, when something else is
// stored under its name; those of the stores. The first one ends it.
// Memory: one pack and one chunk for each job. Threads: one call at a time.

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "copy/copy.h"
#include "repository/block_map.h"

namespace holdfast {

// What a copy needs besides packs: program, libraries, thread stacks, the manifest's root.
inline constexpr std::uint64_t kCopyBaseBytes = std::uint64_t{24} << 20U;

struct PackMove {
  PackRef from;             // in the source's manifest
  PackRef to;               // the same kind and salt
  std::uint32_t bytes = 0;  // size of the object, on both sides
};

// What the folders of some backups hold, by name of the pack.
using PackSizes = std::map<std::string, std::uint64_t>;
PackSizes list_packs(const Repository& repository, const std::string& cluster,
                     const std::vector<PackMove>& moves, const std::stop_token& stop);

class PackCopier {
 public:
  PackCopier(const CopySides& sides, std::string cluster, const CopyOptions& options,
             Progress& progress)
      : sides_(sides), cluster_(std::move(cluster)), options_(options), progress_(progress) {}

  struct Counts {
    std::uint64_t copied = 0, there = 0, bytes = 0;
  };
  Counts copy(const std::vector<PackMove>& moves, const std::stop_token& stop) const;

  // kDamage when one of them is not stored with its size.
  void check_stored(const std::vector<PackMove>& moves, const std::stop_token& stop) const;

 private:
  std::string name_of(const PackRef& pack) const;
  Bytes fetch(const PackMove& move, const std::stop_token& stop) const;
  void store(const PackMove& move, ByteView pack, const std::stop_token& stop) const;
  void require_same(const PackMove& move, std::uint64_t stored_bytes,
                    const std::stop_token& stop) const;

  const CopySides& sides_;
  const std::string cluster_;
  const CopyOptions& options_;
  Progress& progress_;
};

// How many packs may be in flight within the budget.
std::size_t pack_jobs(const std::vector<PackMove>& moves, const CopyOptions& options,
                      const CopySides& sides);

}  // namespace holdfast
