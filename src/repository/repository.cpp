#include "repository/repository.h"

#include <algorithm>
#include <functional>
#include <tuple>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/fault_point.h"
#include "repository/json_text.h"
#include "repository/key_slots_json.h"
#include "repository/names.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

struct Descriptor {
  RepositoryId id{};
  Cipher cipher = Cipher::kNone;
  Secret hash_key;  // without encryption; otherwise it is derived from the data key
  RepositoryFacts facts;
  std::string signed_text;  // what the MAC covers
  Bytes mac;
};

Bytes descriptor_mac(const Secret& data_key, std::string_view text) {
  const Secret key = derive(data_key, {}, "holdfast descriptor v0");
  const auto mac = hmac_sha256(key.view(), as_bytes(text));
  return {mac.begin(), mac.end()};
}

Bytes encode_descriptor(const Descriptor& descriptor, const Secret& data_key) {
  Json facts;
  facts["repository_id"] = to_hex(descriptor.id);
  facts["encryption"] = descriptor.cipher == Cipher::kNone ? "none" : "aes-256-gcm";
  facts["created"] = descriptor.facts.created;
  facts["created_by"] = descriptor.facts.created_by;
  facts["exclusive_create"] = descriptor.facts.exclusive_create;
  if (descriptor.cipher == Cipher::kNone)
    facts["page_hash_key"] = to_hex(descriptor.hash_key.view());
  const std::string text = facts.dump();
  Json whole;
  whole["facts"] = text;
  whole["mac"] = descriptor.cipher == Cipher::kNone ? "" : to_hex(descriptor_mac(data_key, text));
  return seal_record(ContainerKind::kDescriptor, {.repository_id = descriptor.id}, Cipher::kNone,
                     as_bytes(whole.dump()));
}

Descriptor decode_descriptor(const Bytes& object) {
  const ContainerHeader header = check_container(object, names::kDescriptor);
  const Bytes plain =
      open_record(ContainerKind::kDescriptor, {.repository_id = header.repository_id}, object,
                  names::kDescriptor);
  try {
    const Json whole = parse_json<Json>(as_text(plain));
    Descriptor descriptor;
    descriptor.id = header.repository_id;
    descriptor.signed_text = whole.at("facts");
    descriptor.mac = from_hex(whole.at("mac").get<std::string>());
    const Json facts = parse_json<Json>(descriptor.signed_text);
    // The MAC covers the text alone, so the header must agree with it.
    if (facts.at("repository_id") != to_hex(descriptor.id)) {
      throw Error(ErrorKind::kDamage, "malformed descriptor: its header is that of another one",
                  {.object = names::kDescriptor});
    }
    const std::string encryption = facts.at("encryption");
    if (encryption != "none" && encryption != "aes-256-gcm") {
      throw Error(ErrorKind::kNewerFormat,
                  "the repository uses an unknown encryption: " + encryption,
                  {.object = names::kDescriptor});
    }
    descriptor.cipher = encryption == "none" ? Cipher::kNone : Cipher::kAes256Gcm;
    descriptor.facts = {facts.at("created"), facts.at("created_by"), facts.at("exclusive_create")};
    if (descriptor.cipher == Cipher::kNone) {
      const Bytes hash_key = from_hex(facts.at("page_hash_key").get<std::string>());
      if (hash_key.size() != Secret::kBytes) {
        throw Error(ErrorKind::kDamage, "malformed descriptor: its hash key has the wrong length",
                    {.object = names::kDescriptor});
      }
      descriptor.hash_key = Secret(hash_key);
    }
    return descriptor;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed descriptor: {}", error.what()),
                {.object = names::kDescriptor});
  }
}

[[noreturn]] void throw_wrong_key(const std::string& where) {
  throw Error(ErrorKind::kWrongKey, "the configured key or passphrase does not open the repository",
              {.object = where,
               .hint = "Configure the key file or passphrase of one of its key slots "
                       "(repositories[].encryption)."});
}

std::optional<Secret> unwrap_any(const std::vector<KeySlot>& slots, const KeySource& source) {
  for (const KeySlot& slot : slots) {
    if (auto key = unwrap(slot, source)) return key;
  }
  return std::nullopt;
}

// The data key of an encrypted repository that is being created: a fresh one, or that of an
// interrupted attempt.
Secret settle_data_key(ObjectStore& store, const Repository::CreateOptions& options,
                       const std::string& now, RepositoryId& id, const std::stop_token& stop) {
  auto existing = read_key_slots(store, &id, stop);
  if (!existing) {
    const Secret fresh = Secret::random();
    KeyGeneration first{1, {wrap(fresh, *options.key, options.key_label, now)}};
    fault_point("init.before_keys");
    const auto outcome =
        try_put_once(store, names::key_generation(1), encode_key_generation(first, id),
                     ObjectClass::kCatalogue, stop);
    if (outcome != WriteOnceOutcome::kOtherContent) return fresh;
    existing = read_key_slots(store, &id, stop);
  }
  auto key = existing ? unwrap_any(existing->slots, *options.key) : std::nullopt;
  if (!key) throw_wrong_key(store.describe());
  return *key;
}

// A descriptor that was lost must not be replaced: a new one would not open what is there.
void refuse_lost_descriptor(ObjectStore& store, const std::stop_token& stop) {
  const ListPage top = store.list({.prefix = "", .group_folders = true}, stop);
  for (const std::string& folder : top.folders) {
    const ListPage inner = store.list({.prefix = folder, .group_folders = true}, stop);
    for (const std::string& name : inner.folders) {
      const std::string_view part =
          std::string_view(name).substr(folder.size(), name.size() - folder.size() - 1);
      if (!parse_history_name(part)) continue;
      throw Error(
          ErrorKind::kRefused, "backups are here, but the repository's descriptor is missing",
          {.object = name,
           .hint = "Bring the object 'repository' back from another copy, or create the new "
                   "repository elsewhere."});
    }
  }
}

}  // namespace

bool Repository::create(ObjectStore& store, const CreateOptions& options,
                        const std::stop_token& stop) {
  if (store.head(names::kDescriptor, stop)) return false;
  refuse_lost_descriptor(store, stop);
  Descriptor descriptor;
  descriptor.facts = {to_rfc3339_seconds(system_clock().now()), options.holdfast_version,
                      options.exclusive_create};
  fill_random(descriptor.id);
  Secret data_key;
  if (options.key) {
    descriptor.cipher = Cipher::kAes256Gcm;
    data_key = settle_data_key(store, options, descriptor.facts.created, descriptor.id, stop);
  } else {
    descriptor.hash_key = Secret::random();
  }
  fault_point("init.before_descriptor");
  const auto outcome =
      try_put_once(store, names::kDescriptor, encode_descriptor(descriptor, data_key),
                   ObjectClass::kCatalogue, stop);
  return outcome != WriteOnceOutcome::kOtherContent;
}

std::unique_ptr<Repository> Repository::open(std::unique_ptr<ObjectStore> store,
                                             const std::optional<KeySource>& key,
                                             const std::stop_token& stop) {
  const std::string where = store->describe();
  const auto object = store->get(names::kDescriptor, stop);
  if (!object) {
    throw Error(ErrorKind::kRepository, "there is no Holdfast repository",
                {.object = where, .hint = "Create it with 'holdfast init'."});
  }
  const Descriptor descriptor = decode_descriptor(*object);
  RepositoryKeys keys{.repository_id = descriptor.id, .cipher = descriptor.cipher, .data_key = {}};
  Secret hash_key = descriptor.hash_key;
  if (descriptor.cipher == Cipher::kNone) {
    if (key) {
      throw Error(ErrorKind::kConfiguration,
                  "encryption is configured, but the repository is not encrypted",
                  {.object = where,
                   .hint = "Remove 'encryption' from this repository's configuration, or create an "
                           "encrypted repository elsewhere."});
    }
  } else {
    if (!key) {
      throw Error(ErrorKind::kWrongKey, "the repository is encrypted and no key is configured",
                  {.object = where,
                   .hint = "Set encryption.key_file or encryption.passphrase_file of this "
                           "repository."});
    }
    const auto generation = read_key_slots(*store, nullptr, stop);
    if (!generation) {
      throw Error(ErrorKind::kDamage, "the key slots of the repository are missing",
                  {.object = names::kKeysPrefix});
    }
    const auto data_key = unwrap_any(generation->slots, *key);
    if (!data_key) throw_wrong_key(where);
    if (descriptor_mac(*data_key, descriptor.signed_text) != descriptor.mac) {
      throw Error(ErrorKind::kDamage, "the descriptor was not written with this repository's key",
                  {.object = names::kDescriptor});
    }
    keys.data_key = *data_key;
    hash_key = derive(*data_key, {}, "holdfast page hash v0");
  }
  return std::unique_ptr<Repository>(
      new Repository(std::move(store), keys, hash_key, descriptor.facts));
}

namespace {

// The generation that counts.
KeyGeneration current_generation(const Repository& repository, const std::stop_token& stop) {
  auto generation = read_key_slots(repository.store(), nullptr, stop);
  if (!generation) {
    throw Error(ErrorKind::kRefused, "the repository is not encrypted: it has no key slots",
                {.object = repository.store().describe()});
  }
  return std::move(*generation);
}

// A change on its way into the store.
struct PendingChange {
  KeyGeneration next;
  // Whether slots that were read back are as the change wants them.
  std::function<bool(const std::vector<KeySlot>&)> holds;
};

// Whether the same sources open both.
bool opens_alike(const KeySlot& a, const KeySlot& b) {
  const auto parts = [](const KeySlot& slot) {
    return std::tie(slot.id, slot.kind, slot.salt, slot.scrypt_log_n, slot.scrypt_r, slot.scrypt_p,
                    slot.nonce, slot.wrapped);
  };
  return parts(a) == parts(b);
}

// What must not count is removed, so that the generations before it do.
[[noreturn]] void take_back(const Repository& repository, const std::string& name, ErrorKind kind,
                            const std::string& why, const std::stop_token& stop) {
  const auto failures = repository.store().remove_many({name}, stop);
  throw Error(kind, why,
              {.object = name,
               .hint = failures.empty()
                           ? "The earlier key slots were kept. Run the command again."
                           : fmt::format("The earlier key slots were kept, but this object could "
                                         "not be removed: {}. Remove it, then run the command "
                                         "again.",
                                         failures.front().reason)});
}

// What counts after `change` was put: it, or what somebody else has built on it since.
KeyGeneration read_back(const Repository& repository, const PendingChange& change,
                        const std::stop_token& stop) {
  const std::string name = names::key_generation(change.next.number);
  KeyGeneration stored;
  try {
    stored = current_generation(repository, stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDamage && error.kind() != ErrorKind::kNewerFormat) throw;
    take_back(repository, name, error.kind(),
              "the key slots cannot be read back: " + error.message(), stop);
  }
  if (stored.number != change.next.number) {
    // Whoever read the same generation as this call was faster, and did not know of its change.
    if (stored.number > change.next.number && change.holds(stored.slots)) return stored;
    take_back(repository, name, ErrorKind::kRefused,
              "the key slots were changed by somebody else at the same moment", stop);
  }
  if (!std::ranges::equal(stored.slots, change.next.slots, opens_alike) ||
      !change.holds(stored.slots)) {
    take_back(repository, name, ErrorKind::kDamage,
              "the key slots that were read back are not those that were stored", stop);
  }
  return stored;
}

// No older generation goes before the new one was read back and holds: they are the only other way
// to the data key. This call's own stays even where somebody has built on it: that one is not read
// back yet, and may be taken back.
KeyChange store_generation(const Repository& repository, const PendingChange& change,
                           const std::stop_token& stop) {
  ObjectStore& store = repository.store();
  const std::string name = names::key_generation(change.next.number);
  if (try_put_once(store, name, encode_key_generation(change.next, repository.keys().repository_id),
                   ObjectClass::kCatalogue, stop) == WriteOnceOutcome::kOtherContent) {
    throw Error(ErrorKind::kRefused,
                "the key slots were changed by somebody else at the same moment",
                {.object = name, .hint = "Run the command again."});
  }
  KeyGeneration stored = read_back(repository, change, stop);
  std::vector<std::string> retired;
  for_each_object(store, names::kKeysPrefix, stop, [&](const ObjectInfo& object) {
    const auto number = names::parse_key_generation(object.name);
    if (number && *number < change.next.number) retired.push_back(object.name);
  });
  KeyChange done{std::move(stored.slots), {}};
  for (const RemoveFailure& failure : store.remove_many(retired, stop)) {
    done.not_removed.push_back(failure.name);
  }
  return done;
}

}  // namespace

KeyChange add_key_slot(const Repository& repository, const KeySource& fresh,
                       const std::string& label, const std::stop_token& stop) {
  KeyGeneration next = current_generation(repository, stop);
  ++next.number;
  if (next.slots.size() >= kMaxKeySlots) {
    throw Error(ErrorKind::kRefused, fmt::format("there are {} key slots already", kMaxKeySlots),
                {.object = names::kKeysPrefix,
                 .hint = "Remove one that is no longer used: 'holdfast key remove'."});
  }
  const Secret& data_key = repository.keys().data_key;
  next.slots.push_back(wrap(data_key, fresh, label, to_rfc3339_seconds(system_clock().now())));
  const std::string id = next.slots.back().id;
  const auto opens = [&](const std::vector<KeySlot>& slots) {
    const auto added = std::ranges::find(slots, id, &KeySlot::id);
    if (added == slots.end()) return false;
    const auto key = unwrap(*added, fresh);
    return key && std::ranges::equal(key->view(), data_key.view());
  };
  return store_generation(repository, {std::move(next), opens}, stop);
}

KeyChange remove_key_slot(const Repository& repository, const std::string& slot_id,
                          const std::stop_token& stop) {
  KeyGeneration next = current_generation(repository, stop);
  ++next.number;
  if (std::erase_if(next.slots, [&](const KeySlot& slot) { return slot.id == slot_id; }) == 0) {
    throw Error(ErrorKind::kNotFound, "no key slot has this id",
                {.object = slot_id, .hint = "See 'holdfast key list'."});
  }
  if (next.slots.empty()) {
    throw Error(ErrorKind::kRefused, "this is the last key slot: without it nothing can be read",
                {.object = slot_id, .hint = "Add another key first: 'holdfast key add'."});
  }
  const auto is_gone = [&](const std::vector<KeySlot>& slots) {
    return std::ranges::find(slots, slot_id, &KeySlot::id) == slots.end();
  };
  return store_generation(repository, {std::move(next), is_gone}, stop);
}

}  // namespace holdfast
