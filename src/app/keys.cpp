#include "app/keys.h"

#include <algorithm>

#include "app/open.h"
#include "core/error.h"
#include "system/files.h"

namespace holdfast {
namespace {

KeySlotView view_of(const KeySlot& slot, const std::optional<KeySource>& configured) {
  return {.id = slot.id,
          .kind = slot.kind,
          .label = slot.label,
          .created = slot.created,
          .configured = configured && unwrap(slot, *configured).has_value()};
}

// A repository that was opened with the configured key, and its slots.
struct OpenKeys {
  OpenKeys(const RepositoryConfig& config, const std::stop_token& stop)
      : source(key_source(config.encryption)), repository(open_repository(config, stop)) {
    if (repository->keys().cipher != Cipher::kNone) read_slots(stop);
  }

  void read_slots(const std::stop_token& stop) {
    const auto generation = read_key_slots(repository->store(), nullptr, stop);
    if (generation) slots = views_of(generation->slots);
  }

  std::vector<KeySlotView> views_of(const std::vector<KeySlot>& some) const {
    std::vector<KeySlotView> views;
    views.reserve(some.size());
    for (const KeySlot& slot : some) views.push_back(view_of(slot, source));
    return views;
  }

  void require_encryption() const {
    if (repository->keys().cipher != Cipher::kNone) return;
    throw Error(ErrorKind::kRefused, "the repository is not encrypted, so it has no key slots",
                {.object = repository->store().describe(),
                 .hint = "Encryption is chosen when a repository is created: configure a key and "
                         "create another one with 'holdfast init'."});
  }

  std::optional<KeySource> source;
  std::unique_ptr<Repository> repository;
  std::vector<KeySlotView> slots;
};

KeySource fresh_source(const EncryptionConfig& files) {
  auto source = key_source(files);
  if (!source) throw Error(ErrorKind::kUsage, "no new key was given");
  const auto* const passphrase = std::get_if<Passphrase>(&*source);
  if (passphrase != nullptr && passphrase->text.empty()) {
    throw Error(ErrorKind::kConfiguration, "the passphrase is empty",
                {.object = files.passphrase_file});
  }
  return std::move(*source);
}

void refuse_known_key(const Repository& repository, const KeySource& fresh,
                      const std::stop_token& stop) {
  const auto generation = read_key_slots(repository.store(), nullptr, stop);
  if (!generation) return;
  for (const KeySlot& slot : generation->slots) {
    if (!unwrap(slot, fresh)) continue;
    throw Error(ErrorKind::kRefused, "this key opens the repository already: it is in a slot",
                {.object = slot.id, .hint = "See 'holdfast key list'."});
  }
}

const KeySlotView& removable_slot(const OpenKeys& keys, const std::string& slot_id) {
  const auto found = std::ranges::find(keys.slots, slot_id, &KeySlotView::id);
  if (found == keys.slots.end()) {
    throw Error(ErrorKind::kNotFound, "no key slot has this id",
                {.object = slot_id, .hint = "See 'holdfast key list'."});
  }
  if (keys.slots.size() == 1) {
    throw Error(ErrorKind::kRefused, "this is the last key slot: without it nothing can be read",
                {.object = slot_id, .hint = "Add another key first: 'holdfast key add'."});
  }
  const bool opens_with_another = std::ranges::any_of(
      keys.slots, [&](const KeySlotView& slot) { return slot.configured && slot.id != slot_id; });
  if (found->configured && !opens_with_another) {
    throw Error(
        ErrorKind::kRefused,
        "the configured key is in this slot: without it this machine could no longer open "
        "the repository",
        {.object = slot_id,
         .hint = "Name another key of the repository in its 'encryption' first, then remove "
                 "this slot."});
  }
  return *found;
}

}  // namespace

KeyList list_keys(const RepositoryConfig& repository, const std::stop_token& stop) {
  OpenKeys keys(repository, stop);
  return {.repository = repository.url,
          .encrypted = keys.repository->keys().cipher != Cipher::kNone,
          .slots = std::move(keys.slots)};
}

KeyChanged add_key(const RepositoryConfig& repository, const AddKeyRequest& request,
                   const std::stop_token& stop) {
  const KeySource fresh = fresh_source(request.key);
  OpenKeys keys(repository, stop);
  keys.require_encryption();
  refuse_known_key(*keys.repository, fresh, stop);
  KeyChange change = add_key_slot(*keys.repository, fresh, request.label, stop);
  // It was read back and opened with this key.
  const auto added = std::ranges::find_if(
      change.slots, [&](const KeySlot& slot) { return unwrap(slot, fresh).has_value(); });
  return {view_of(*added, keys.source), keys.views_of(change.slots), std::move(change.not_removed)};
}

KeySlotView key_to_remove(const RepositoryConfig& repository, const std::string& slot_id,
                          const std::stop_token& stop) {
  const OpenKeys keys(repository, stop);
  keys.require_encryption();
  return removable_slot(keys, slot_id);
}

KeyChanged remove_key(const RepositoryConfig& repository, const std::string& slot_id,
                      const std::stop_token& stop) {
  OpenKeys keys(repository, stop);
  keys.require_encryption();
  const KeySlotView removed = removable_slot(keys, slot_id);
  KeyChange change = remove_key_slot(*keys.repository, slot_id, stop);
  return {removed, keys.views_of(change.slots), std::move(change.not_removed)};
}

void new_key_file(const std::filesystem::path& path) {
  std::string text = format_key_file(Secret::random());
  const WriteOutcome outcome = write_durably(path, as_bytes(text), 0600, Overwrite::kNo);
  wipe(text);
  if (outcome == WriteOutcome::kWritten) return;
  throw Error(ErrorKind::kRefused,
              "the file exists: a key that backups may need is not overwritten",
              {.object = path.string(), .hint = "Choose another name."});
}

}  // namespace holdfast
