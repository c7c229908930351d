#include "verify/pack_check.h"

namespace holdfast {
namespace {

[[noreturn]] void damaged(std::string what) {
  throw Error(ErrorKind::kDamage, std::move(what));
}

}  // namespace

void PackChecker::check_header(const CitedPack& cited, const ContainerHeader& header) const {
  const PackRef& ref = chunks_.registry().at(cited.pack);
  const ContainerKind kind =
      ref.kind == names::PackKind::kData ? ContainerKind::kDataPack : ContainerKind::kMapPack;
  if (header.repository_id != repository_.keys().repository_id) {
    damaged("the object belongs to another repository");
  }
  if (header.kind != kind) {
    damaged(fmt::format("it is a {} where a {} belongs", to_string(header.kind), to_string(kind)));
  }
  if (header.cipher != repository_.keys().cipher) damaged("it is not encrypted as it should be");
  if (header.salt != ref.salt) damaged("it is another pack than the one that was written here");
}

CheckedPack PackChecker::check(const CitedPack& cited, const std::stop_token& stop) const {
  const std::string name = chunks_.pack_name(cited.pack);
  CheckedPack checked;
  try {
    auto object = repository_.store().get(name, stop);
    if (!object) {
      findings_.add(name, "missing: a pack that the backup needs");
      checked.state = PackState::kMissing;
      return checked;
    }
    if (object->size() != cited.bytes) {
      damaged(fmt::format("it is {} bytes long, and was {} when it was written", object->size(),
                          cited.bytes));
    }
    const ContainerHeader header = check_container(*object, name);
    check_header(cited, header);
    const bool keep = header.kind == ContainerKind::kDataPack;
    authenticate_chunks(*object, header, repository_.keys(), name, [&](const ChunkPlace& chunk) {
      if (keep) checked.chunks.push_back(chunk);
    });
    checked.state = PackState::kIntact;
  } catch (const Error& error) {
    if (!condemns_one_object(error.kind())) throw;
    findings_.add(name, error.message());
    checked = {.state = PackState::kDamaged, .chunks = {}};
  }
  return checked;
}

}  // namespace holdfast
