#pragma once
// A repository: the object store, its descriptor, and the keys that open what is in it.
//
// Consistency: the descriptor is written last by create(); before it exists there is no repository,
//   and a repeated create() goes on where an interrupted one stopped.
// Trust: the descriptor of an encrypted repository carries a MAC under the data key, so open()
//   proves that key and descriptor belong together. Nothing else is read before that.
// Threads: a Repository is immutable once opened; its store and keys are shared freely.

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/time.h"
#include "repository/container.h"
#include "seal/hash.h"
#include "seal/key_slot.h"
#include "storage/object_store.h"

namespace holdfast {

struct RepositoryFacts {
  std::string created;           // RFC 3339, by the creator's clock
  std::string created_by;        // version of Holdfast
  bool exclusive_create = true;  // false: the store overwrites; only one writer may exist
};

class Repository {
 public:
  struct CreateOptions {
    std::optional<KeySource> key;  // none: not encrypted
    std::string key_label;
    std::string holdfast_version;
    bool exclusive_create = true;
  };
  // True when the repository was created by this call, false when it was there already (and opens
  // with the same key).
  static bool create(ObjectStore& store, const CreateOptions& options, const std::stop_token& stop);

  // Throws kRepository when there is none, kWrongKey when `key` does not open it (or is missing),
  // kConfiguration when a key is given for a repository that is not encrypted.
  static std::unique_ptr<Repository> open(std::unique_ptr<ObjectStore> store,
                                          const std::optional<KeySource>& key,
                                          const std::stop_token& stop);

  ObjectStore& store() const { return *store_; }
  const RepositoryKeys& keys() const { return keys_; }
  const PageHasher& page_hasher() const { return hasher_; }
  // The key of page_hasher(): it travels with copies of backups, whose block hashes were made with
  // it (repository/manifest.h: ManifestRoot::hash_key).
  const Secret& page_hash_key() const { return hash_key_; }
  const RepositoryFacts& facts() const { return facts_; }

 private:
  Repository(std::unique_ptr<ObjectStore> store, const RepositoryKeys& keys, const Secret& hash_key,
             RepositoryFacts facts)
      : store_(std::move(store)),
        keys_(keys),
        hash_key_(hash_key),
        hasher_(hash_key),
        facts_(std::move(facts)) {}

  std::unique_ptr<ObjectStore> store_;
  RepositoryKeys keys_;
  Secret hash_key_;
  PageHasher hasher_;
  RepositoryFacts facts_;
};

// Key slots are kept as generations: each change writes keys/<generation+1> with all slots, the
// highest counts, and older generations are then removed, because they still hold retired slots.
inline constexpr std::size_t kMaxKeySlots = 64;
struct KeyGeneration {
  std::uint32_t number = 0;
  std::vector<KeySlot> slots;
};
std::optional<KeyGeneration> read_key_slots(ObjectStore& store, RepositoryId* repository_id,
                                            const std::stop_token& stop);

struct KeyChange {
  std::vector<KeySlot> slots;            // after the change
  std::vector<std::string> not_removed;  // older generations that could not be deleted
};
// Adds a slot for `fresh`. Another process that changes keys at the same moment wins or loses
// cleanly (kRefused: run it again). More than kMaxKeySlots are kRefused.
KeyChange add_key_slot(const Repository& repository, const KeySource& fresh,
                       const std::string& label, const std::stop_token& stop);
// Removes a slot by its id; the last one is kRefused.
KeyChange remove_key_slot(const Repository& repository, const std::string& slot_id,
                          const std::stop_token& stop);

}  // namespace holdfast
