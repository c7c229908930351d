#include "repository/chunk_reader.h"

#include "core/error.h"

namespace holdfast {

std::string ChunkReader::pack_name(PackIndex pack) const {
  const PackRef& ref = registry_.at(pack);
  return names::pack({cluster_, ref.history, ref.backup}, ref.kind, ref.number);
}

ChunkKey ChunkReader::key_of(PackIndex pack) const {
  return {keys_.cipher, keys_.data_key, registry_.at(pack).salt, pack_name(pack)};
}

void ChunkReader::open(const ChunkAddress& address, const ChunkKey& key, MutableByteView sealed,
                       Decompressor& decompressor, Bytes& plain) const {
  try {
    const ChunkKey::Opened opened = key.open(sealed);
    if (opened.ordinal != address.offset) {
      throw Error(ErrorKind::kDamage, "it is not in the place it was written to");
    }
    plain.resize(opened.plain_length);
    decompressor.decompress(opened.compression, opened.payload, plain);
  } catch (Error& error) {
    const std::string name = pack_name(address.pack);
    throw error.about(name).during(fmt::format("chunk at byte {} of {}", address.offset, name));
  }
}

Bytes ChunkReader::read(const ChunkAddress& address, const std::stop_token& stop) {
  Bytes sealed(address.sealed_length);
  const std::string name = pack_name(address.pack);
  if (!store_.get_range(name, address.offset, sealed, stop)) {
    throw Error(ErrorKind::kDamage, "a pack that the backup needs is missing", {.object = name});
  }
  Decompressor decompressor;
  Bytes plain;
  open(address, key_of(address.pack), sealed, decompressor, plain);
  return plain;
}

}  // namespace holdfast
