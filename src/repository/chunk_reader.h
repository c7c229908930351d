#pragma once
// Reads single sealed chunks by address: one ranged get each, authenticated and decompressed.
// Threads: any number; each call uses buffers of its own.

#include <memory>
#include <stop_token>
#include <string>

#include "repository/block_map.h"
#include "repository/container.h"
#include "storage/object_store.h"

namespace holdfast {

class ChunkReader {
 public:
  ChunkReader(ObjectStore& store, const RepositoryKeys& keys, std::string cluster)
      : store_(store), keys_(keys), cluster_(std::move(cluster)) {}

  // The plain bytes of a chunk. A pack that is missing or damaged is kDamage and names the pack.
  Bytes read(const ChunkAddress& address, const std::stop_token& stop);

  std::string pack_name(PackIndex pack) const;
  ChunkKey key_of(PackIndex pack) const;
  // Opens a sealed chunk that was fetched by other means. Decrypts `sealed` in place.
  void open(const ChunkAddress& address, const ChunkKey& key, MutableByteView sealed,
            Decompressor& decompressor, Bytes& plain) const;
  PackRegistry& registry() { return registry_; }
  const PackRegistry& registry() const { return registry_; }
  ObjectStore& store() { return store_; }

 private:
  ObjectStore& store_;
  const RepositoryKeys& keys_;
  std::string cluster_;
  PackRegistry registry_;
};

}  // namespace holdfast
