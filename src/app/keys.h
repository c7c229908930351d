#pragma once
// The key slots of a repository, for `key`: who may open it, and changing that without touching a
// byte of data.
//
// Every function opens the repository with the configured key first, so that nobody lists or
// changes slots who cannot read the backups. Errors: kRefused for an unencrypted repository, a key
// that is in a slot already, the last slot, the slot that this machine's own key opens; kNotFound
// for an unknown slot; kWrongKey and those of key files as in app/open.h.
// Durability: a changed set of slots is stored when the call returns. What an older generation of
// slots told, it still tells to whoever copied it before: a stolen key keeps opening a stolen copy.

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "repository/repository.h"

namespace holdfast {

struct KeySlotView {
  std::string id, kind, label, created;
  bool configured = false;  // the configured key or passphrase opens it
};

struct KeyList {
  std::string repository;  // URL
  bool encrypted = false;
  std::vector<KeySlotView> slots;
};
KeyList list_keys(const RepositoryConfig& repository, const std::stop_token& stop);

struct KeyChanged {
  KeySlotView slot;                      // that was added or removed
  std::vector<KeySlotView> slots;        // after the change
  std::vector<std::string> not_removed;  // objects that still hold retired slots
};

struct AddKeyRequest {
  EncryptionConfig key;  // the file with the new key or passphrase
  std::string label;
};
// The new slot is read back and opened before this returns.
KeyChanged add_key(const RepositoryConfig& repository, const AddKeyRequest& request,
                   const std::stop_token& stop);

// The slot that remove_key() would remove, after every check that it makes.
KeySlotView key_to_remove(const RepositoryConfig& repository, const std::string& slot_id,
                          const std::stop_token& stop);
KeyChanged remove_key(const RepositoryConfig& repository, const std::string& slot_id,
                      const std::stop_token& stop);

// Writes a fresh random key, mode 0600. kRefused when the file is there already.
void new_key_file(const std::filesystem::path& path);

}  // namespace holdfast
