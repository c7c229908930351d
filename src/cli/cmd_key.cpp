// `key list`, `key add`, `key remove`, `key new-file`: who can open the repository.
#include <fmt/format.h>

#include "app/keys.h"
#include "cli/as_of_option.h"
#include "cli/command.h"
#include "cli/render.h"

namespace holdfast::cli {
namespace {

Json json_of(const KeySlotView& slot) {
  return {{"id", slot.id},
          {"kind", slot.kind},
          {"label", slot.label},
          {"created", slot.created},
          {"configured", slot.configured}};
}

Json json_of(const std::vector<KeySlotView>& slots) {
  Json list = Json::array();
  for (const KeySlotView& slot : slots) list.push_back(json_of(slot));
  return list;
}

std::string name_of(const KeySlotView& slot) {
  const std::string label = slot.label.empty() ? "" : fmt::format(" '{}'", printable(slot.label));
  return fmt::format("{} ({}{})", printable(slot.id), printable(slot.kind), label);
}

CommandResult run_list(CommandContext& context) {
  const KeyList keys = list_keys(context.repository(), context.stop());
  CommandResult result{.json = {{"repository", keys.repository},
                                {"encrypted", keys.encrypted},
                                {"slots", json_of(keys.slots)}}};
  if (!keys.encrypted) {
    result.text = fmt::format("{} is not encrypted.\n", keys.repository);
    return result;
  }
  Table table({{"ID"}, {"KIND"}, {"LABEL"}, {"CREATED"}, {""}});
  for (const KeySlotView& slot : keys.slots) {
    table.add_row({slot.id, slot.kind, slot.label, slot.created,
                   Cell(slot.configured ? "configured here" : "")});
  }
  result.text = table.render(context.style());
  return result;
}

void warn_of_leftovers(const KeyChanged& change, CommandContext& context) {
  for (const std::string& name : change.not_removed) {
    context.warn(
        fmt::format("{} could not be deleted: it still holds the earlier key slots", name));
  }
}

CommandResult run_add(const AddKeyRequest& request, CommandContext& context) {
  if (request.key.key_file.empty() == request.key.passphrase_file.empty()) {
    throw Error(ErrorKind::kUsage, "give either --key-file or --passphrase-file",
                {.hint = "For example: holdfast key add --key-file /etc/holdfast/second.key"});
  }
  const KeyChanged change = add_key(context.repository(), request, context.stop());
  warn_of_leftovers(change, context);
  return {
      .json = {{"slot", json_of(change.slot)}, {"slots", json_of(change.slots)}},
      .text = fmt::format("Added key slot {}; it opens the repository.\n", name_of(change.slot))};
}

struct RemoveArguments {
  std::string slot_id;
  bool yes = false, dry_run = false;
};

CommandResult run_remove(const RemoveArguments& arguments, CommandContext& context) {
  const KeySlotView slot = key_to_remove(context.repository(), arguments.slot_id, context.stop());
  const std::string loss = fmt::format("{}, made {}, will no longer open the repository",
                                       name_of(slot), printable(slot.created));
  if (arguments.dry_run) {
    return {.json = {{"slot", json_of(slot)}, {"removed", false}},
            .text = fmt::format("Nothing was changed. With --yes: key slot {}.\n", loss)};
  }
  if (!arguments.yes) {
    throw Error(ErrorKind::kRefused, "key slot " + loss,
                {.object = slot.id, .hint = "Add --yes when that is what you want."});
  }
  const KeyChanged change = remove_key(context.repository(), arguments.slot_id, context.stop());
  warn_of_leftovers(change, context);
  return {
      .json = {{"slot", json_of(slot)}, {"removed", true}, {"slots", json_of(change.slots)}},
      .text = fmt::format("Removed key slot {}; {} left.\n", name_of(slot), change.slots.size())};
}

}  // namespace

CommandSpec key_list_command() {
  auto as_of = std::make_shared<std::optional<std::string>>();
  CommandSpec spec;
  spec.name = "key list";
  spec.summary = "List the keys and passphrases that open the repository";
  spec.needs = Needs::kConfig;
  spec.examples = {{"holdfast key list", "Of the first repository"},
                   {"holdfast --repo cold key list", "Of another one"}};
  spec.options = {as_of_option(*as_of)};
  spec.run = [as_of](CommandContext& context) {
    apply_as_of(*as_of, context);
    return run_list(context);
  };
  return spec;
}

CommandSpec key_add_command() {
  auto request = std::make_shared<AddKeyRequest>();
  CommandSpec spec;
  spec.name = "key add";
  spec.summary = "Let one more key or passphrase open the repository";
  spec.details = "No backup is touched: only the key of the data is wrapped once more.";
  spec.needs = Needs::kConfig;
  spec.options = {
      text_option({"--key-file", "PATH", "A key file, as 'key new-file' makes it"},
                  request->key.key_file),
      text_option({"--passphrase-file", "PATH", "A file with a passphrase"},
                  request->key.passphrase_file),
      text_option({"--label", "TEXT", "Whose key it is, or where it is kept"}, request->label)};
  spec.examples = {
      {"holdfast key add --key-file ./second.key --label 'new server'", "Before changing keys"},
      {"holdfast key add --passphrase-file ./words --label 'in the safe'", "For emergencies"}};
  spec.run = [request](CommandContext& context) { return run_add(*request, context); };
  return spec;
}

CommandSpec key_remove_command() {
  auto arguments = std::make_shared<RemoveArguments>();
  CommandSpec spec;
  spec.name = "key remove";
  spec.summary = "Take away a key's right to open the repository";
  spec.details =
      "No backup is touched. Not removed are the last slot and the one that the configured key\n"
      "opens. Whoever copied the repository's keys/ folder earlier can still open that copy.";
  spec.needs = Needs::kConfig;
  spec.arguments = {text_argument("SLOT-ID", "As 'key list' shows it", arguments->slot_id)};
  spec.options = {switch_option({"--yes", "Do it"}, arguments->yes),
                  switch_option({"--dry-run", "Only say what would be lost"}, arguments->dry_run)};
  spec.examples = {{"holdfast key remove 3f9a01bc --dry-run", "What would be lost?"},
                   {"holdfast key remove 3f9a01bc --yes", "Remove it"}};
  spec.run = [arguments](CommandContext& context) { return run_remove(*arguments, context); };
  return spec;
}

CommandSpec key_new_file_command() {
  auto path = std::make_shared<std::string>();
  CommandSpec spec;
  spec.name = "key new-file";
  spec.summary = "Write a new random key file";
  spec.details =
      "For encryption.key_file, before 'init', or for 'key add'. Keep a copy elsewhere: without a\n"
      "key the backups cannot be read.";
  spec.arguments = {text_argument("PATH", "The file to create, mode 0600", *path)};
  spec.examples = {{"holdfast key new-file /etc/holdfast/hot.key", "A key for a new repository"}};
  spec.run = [path](CommandContext&) {
    new_key_file(*path);
    return CommandResult{.json = {{"path", *path}},
                         .text = fmt::format("Wrote {}. Keep a copy elsewhere: without a key the "
                                             "backups cannot be read.\n",
                                             printable(*path))};
  };
  return spec;
}

}  // namespace holdfast::cli
