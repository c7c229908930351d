#include "copy/pack_copier.h"

#include <algorithm>
#include <atomic>
#include <set>

#include "core/error.h"
#include "core/fault_point.h"
#include "core/parallel.h"

namespace holdfast {
namespace {

// Besides the pack: a chunk that is resealed, and buffers of the connection.
constexpr std::uint64_t kJobBytes = kMaxChunkPlainBytes + (std::uint64_t{1} << 20U);

ContainerKind container_kind(names::PackKind kind) {
  return kind == names::PackKind::kData ? ContainerKind::kDataPack : ContainerKind::kMapPack;
}

ObjectClass object_class(names::PackKind kind) {
  return kind == names::PackKind::kData ? ObjectClass::kData : ObjectClass::kCatalogue;
}

[[noreturn]] void damaged(const std::string& object, std::string why) {
  throw Error(ErrorKind::kDamage, std::move(why),
              {.object = object,
               .hint = "Nothing was committed. 'holdfast verify' says what is lost with this "
                       "object; copy another backup, or take a new one."});
}

[[noreturn]] void taken(const std::string& object, std::string_view why) {
  throw Error(
      ErrorKind::kRefused,
      fmt::format("another object is stored under the name of a pack: {}", why),
      {.object = object,
       .hint = "Nothing was overwritten, and the copy was not committed. Find out who wrote "
               "it before you use this repository."});
}

// Why this is not the header of the pack; nullptr when it is.
const char* other_pack(const ContainerHeader& header, const RepositoryKeys& keys,
                       const PackRef& pack) {
  if (header.repository_id != keys.repository_id) return "it belongs to another repository";
  if (header.kind != container_kind(pack.kind)) return "it is of another kind";
  if (header.cipher != keys.cipher) return "it is not encrypted as it should be";
  if (header.salt != pack.salt) return "it is another pack than the one that was written here";
  return nullptr;
}

bool readable_at_once(names::PackKind kind, const CopyOptions& options) {
  return kind == names::PackKind::kMap || options.read_back == ReadBack::kYes;
}

}  // namespace

std::size_t pack_jobs(const std::vector<PackMove>& moves, const CopyOptions& options,
                      const CopySides& sides) {
  std::uint64_t largest = 1;
  for (const PackMove& move : moves) largest = std::max<std::uint64_t>(largest, move.bytes);
  const std::uint64_t budget = std::max(options.memory_bytes, kCopyBaseBytes * 2) - kCopyBaseBytes;
  const std::size_t useful =
      std::max({options.jobs, sides.from.store().capabilities().parallel_requests,
                sides.to.store().capabilities().parallel_requests});
  return std::clamp<std::size_t>(budget / (largest + kJobBytes), 1, useful);
}

PackSizes list_packs(const Repository& repository, const std::string& cluster,
                     const std::vector<PackMove>& moves, const std::stop_token& stop) {
  std::set<std::string> folders;
  for (const PackMove& move : moves) {
    const std::string name =
        names::pack({cluster, move.to.history, move.to.backup}, move.to.kind, move.to.number);
    folders.insert(name.substr(0, name.rfind('/') + 1));
  }
  PackSizes sizes;
  for (const std::string& folder : folders) {
    for_each_object(repository.store(), folder, stop,
                    [&](const ObjectInfo& object) { sizes[object.name] = object.size; });
  }
  return sizes;
}

std::string PackCopier::name_of(const PackRef& pack) const {
  return names::pack({cluster_, pack.history, pack.backup}, pack.kind, pack.number);
}

Bytes PackCopier::fetch(const PackMove& move, const std::stop_token& stop) const {
  const std::string name = name_of(move.from);
  auto pack = sides_.from.store().get(name, stop);
  if (!pack) damaged(name, "missing: a pack that the backup needs");
  if (pack->size() != move.bytes) {
    damaged(name, fmt::format("it is {} bytes long, and was {} when it was written", pack->size(),
                              move.bytes));
  }
  const ContainerHeader header = check_container(*pack, name);
  if (const char* why = other_pack(header, sides_.from.keys(), move.from)) damaged(name, why);
  const std::string stored_as = name_of(move.to);
  reseal_pack(*pack, header, {sides_.from.keys(), name}, {sides_.to.keys(), stored_as});
  return std::move(*pack);
}

void PackCopier::store(const PackMove& move, ByteView pack, const std::stop_token& stop) const {
  const std::string name = name_of(move.to);
  ObjectStore& store = sides_.to.store();
  const PutOutcome outcome =
      store.put(name, pack, {.object_class = object_class(move.to.kind)}, stop);
  fault_point("copy.pack_stored");
  if (!readable_at_once(move.to.kind, options_)) {
    const auto there = outcome == PutOutcome::kCreated ? std::nullopt : store.head(name, stop);
    if (there && there->size != pack.size()) taken(name, "its size is another one");
    return;
  }
  // The trailer has the checksum of everything, so it stands for the whole object.
  std::array<std::byte, kContainerTrailerBytes> trailer{};
  if (!store.get_range(name, pack.size() - trailer.size(), trailer, stop)) {
    throw Error(ErrorKind::kRepository, "the store does not have what it has just accepted",
                {.object = name, .retryable = true});
  }
  if (!std::ranges::equal(trailer, pack.last(trailer.size()))) {
    taken(name, "its checksum is another one");
  }
}

void PackCopier::require_same(const PackMove& move, std::uint64_t stored_bytes,
                              const std::stop_token& stop) const {
  const std::string name = name_of(move.to);
  if (stored_bytes != move.bytes) taken(name, "its size is another one");
  if (!readable_at_once(move.to.kind, options_)) return;
  std::array<std::byte, kContainerHeaderBytes> header{};
  if (!sides_.to.store().get_range(name, 0, header, stop)) {
    throw Error(ErrorKind::kRepository, "the store listed an object and then did not have it",
                {.object = name, .retryable = true});
  }
  const char* why = other_pack(parse_header(header, name), sides_.to.keys(), move.to);
  if (why != nullptr) taken(name, why);
}

PackCopier::Counts PackCopier::copy(const std::vector<PackMove>& moves,
                                    const std::stop_token& stop) const {
  const PackSizes there = list_packs(sides_.to, cluster_, moves, stop);
  std::atomic<std::uint64_t> copied{0}, found{0}, bytes{0};
  parallel_for(moves.size(), pack_jobs(moves, options_, sides_), stop,
               [&](std::size_t i, const std::stop_token& inner) {
                 const PackMove& move = moves[i];
                 if (const auto at = there.find(name_of(move.to)); at != there.end()) {
                   require_same(move, at->second, inner);
                   ++found;
                 } else {
                   store(move, fetch(move, inner), inner);
                   ++copied;
                   bytes += move.bytes;
                 }
                 progress_.advance(move.bytes);
               });
  return {copied, found, bytes};
}

void PackCopier::check_stored(const std::vector<PackMove>& moves,
                              const std::stop_token& stop) const {
  const PackSizes there = list_packs(sides_.to, cluster_, moves, stop);
  for (const PackMove& move : moves) {
    const std::string name = name_of(move.to);
    const auto at = there.find(name);
    if (at != there.end() && at->second == move.bytes) continue;
    throw Error(ErrorKind::kDamage,
                at == there.end() ? "missing: a pack that was just copied"
                                  : "a pack that was just copied has another size",
                {.object = name,
                 .hint = "Nothing was committed. Somebody deletes or changes objects of this "
                         "repository; find out who, and copy the backup again."});
  }
}

}  // namespace holdfast
