#include "repository/key_slots_json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/json_text.h"
#include "repository/names.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kLooksAtKeySlots = 5;

Json slot_to_json(const KeySlot& slot) {
  return {{"id", slot.id},
          {"kind", slot.kind},
          {"label", slot.label},
          {"created", slot.created},
          {"salt", to_hex(slot.salt)},
          {"scrypt_log_n", slot.scrypt_log_n},
          {"scrypt_r", slot.scrypt_r},
          {"scrypt_p", slot.scrypt_p},
          {"nonce", to_hex(slot.nonce)},
          {"wrapped", to_hex(slot.wrapped)}};
}

KeySlot slot_from_json(const Json& json) {
  return {.id = json.at("id"),
          .kind = json.at("kind"),
          .label = json.at("label"),
          .created = json.at("created"),
          .salt = from_hex(json.at("salt").get<std::string>()),
          .scrypt_log_n = json.at("scrypt_log_n"),
          .scrypt_r = json.at("scrypt_r"),
          .scrypt_p = json.at("scrypt_p"),
          .nonce = from_hex(json.at("nonce").get<std::string>()),
          .wrapped = from_hex(json.at("wrapped").get<std::string>())};
}

}  // namespace

Bytes encode_key_generation(const KeyGeneration& generation, const RepositoryId& repository_id) {
  Json json;
  json["generation"] = generation.number;
  json["slots"] = Json::array();
  for (const KeySlot& slot : generation.slots) json["slots"].push_back(slot_to_json(slot));
  return seal_record(ContainerKind::kKeys, {.repository_id = repository_id}, Cipher::kNone,
                     as_bytes(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

KeyGeneration decode_key_generation(Bytes object, std::string_view name,
                                    RepositoryId* repository_id) {
  const ContainerHeader header = check_container(object, name);
  if (repository_id != nullptr) *repository_id = header.repository_id;
  const Bytes plain = open_record(ContainerKind::kKeys, {.repository_id = header.repository_id},
                                  std::move(object), name);
  try {
    const Json json = parse_json<Json>(as_text(plain));
    KeyGeneration generation{.number = json.at("generation"), .slots = {}};
    for (const Json& slot : json.at("slots")) {
      generation.slots.push_back(slot_from_json(slot));
      if (generation.slots.size() > kMaxKeySlots) {
        throw Error(ErrorKind::kDamage, "malformed key slots: there are too many",
                    {.object = std::string(name)});
      }
    }
    // A generation that was copied over a newer one would bring retired slots back.
    if (names::key_generation(generation.number) != name) {
      throw Error(ErrorKind::kDamage, "damaged object: it is another generation of key slots",
                  {.object = std::string(name)});
    }
    return generation;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed key slots: {}", error.what()),
                {.object = std::string(name)});
  }
}

std::optional<KeyGeneration> read_key_slots(ObjectStore& store, RepositoryId* repository_id,
                                            const std::stop_token& stop) {
  std::string latest;
  // Whoever changes them writes a higher generation before this one goes.
  for (int look = 0; look < kLooksAtKeySlots; ++look) {
    std::uint32_t highest = 0;
    for_each_object(store, names::kKeysPrefix, stop, [&](const ObjectInfo& object) {
      highest = std::max(highest, names::parse_key_generation(object.name).value_or(0));
    });
    if (highest == 0) return std::nullopt;
    latest = names::key_generation(highest);
    auto object = store.get(latest, stop);
    if (object) return decode_key_generation(std::move(*object), latest, repository_id);
  }
  throw Error(ErrorKind::kRepository, "the key slots changed while they were read",
              {.object = latest, .hint = "Run the command again.", .retryable = true});
}

}  // namespace holdfast
