// From a configuration file and the environment to a Config: the steps of load_config in order.
#include <set>

#include <fmt/format.h>

#include "app/config_document.h"
#include "app/config_files.h"
#include "core/error.h"
#include "core/redact.h"
#include "recover/sql_checks.h"
#include "system/cron.h"

namespace holdfast {
namespace {

const Assignment* find_assignment(const ConfigDocument& document, const ConfigKey& key,
                                  std::optional<std::size_t> entry) {
  for (const Assignment& assignment : document.assignments) {
    if (assignment.key == &key && assignment.entry == entry) return &assignment;
  }
  return nullptr;
}

KeyValue parse_assignment(const Assignment& assignment) {
  const auto value = parse_key_value(*assignment.key, assignment.text);
  if (value) return *value;
  std::string hint;
  try {
    if (assignment.key->type == KeyType::kSchedule) parse_cron(assignment.text);
  } catch (const Error& error) {
    hint = error.message();
  }
  refuse_configuration(fmt::format("'{}' must be {}, not '{}'", path_in_entry(assignment.key->path),
                                   describe_type(*assignment.key), redact_secrets(assignment.text)),
                       assignment.place, hint);
}

// The names of the repositories, which also address their environment variables.
std::vector<std::string> repository_names(const ConfigDocument& document) {
  const ConfigKey& key = *find_config_key("repositories[].name");
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < document.repository_places.size(); ++i) {
    const Assignment* name = find_assignment(document, key, i);
    if (name == nullptr)
      refuse_configuration("a repository has no name", document.repository_places[i]);
    names.push_back(parse_assignment(*name).text);
    if (!seen.insert(names.back()).second) {
      refuse_configuration(fmt::format("two repositories are called '{}'", names.back()),
                           name->place);
    }
  }
  return names;
}

std::string shown_key(const ConfigKey& key, const KeyTarget& target) {
  if (target.repository != nullptr) {
    return fmt::format("repositories.{}.{}", target.repository->name, path_in_entry(key.path));
  }
  if (target.check != nullptr) {
    return fmt::format("checks.{}.{}", target.check->name, path_in_entry(key.path));
  }
  if (target.notify != nullptr) {
    const auto index = target.notify - target.config.notify.data();
    return fmt::format("notify.{}.{}", index + 1, path_in_entry(key.path));
  }
  return std::string(key.path);
}

// Sets one key from the document or from its default, and records the effective value.
void set_key(LoadedConfig& loaded, const ConfigDocument& document, const ConfigKey& key,
             std::optional<std::size_t> entry) {
  if (key.state == KeyState::kLater) return;
  const KeyTarget target{
      loaded.config, is_repository_key(key) ? &loaded.config.repositories[entry.value()] : nullptr,
      is_check_key(key) ? &loaded.config.checks[entry.value()] : nullptr,
      is_notify_key(key) ? &loaded.config.notify[entry.value()] : nullptr};
  const Assignment* assignment = find_assignment(document, key, entry);
  const bool has_value = assignment != nullptr || !key.fallback.empty();
  if (has_value) {
    const KeyValue value = assignment != nullptr ? parse_assignment(*assignment)
                                                 : parse_key_value(key, key.fallback).value();
    key.set(target, value);
  }
  loaded.values.push_back(
      {.key = shown_key(key, target),
       .value = redact_secrets(assignment != nullptr ? assignment->text : key.fallback),
       .source = assignment != nullptr ? assignment->source : "default"});
}

void set_all_keys(LoadedConfig& loaded, const ConfigDocument& document,
                  const std::vector<std::string>& names) {
  loaded.config.repositories.resize(names.size());
  for (const ConfigKey& key : config_keys()) {
    if (!is_repository_key(key) && !is_check_key(key) && !is_notify_key(key)) {
      set_key(loaded, document, key, std::nullopt);
    }
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    loaded.config.repositories[i].name = names[i];
    for (const ConfigKey& key : config_keys()) {
      if (is_repository_key(key)) set_key(loaded, document, key, i);
    }
  }
  loaded.config.checks.resize(document.check_places.size());
  for (std::size_t i = 0; i < loaded.config.checks.size(); ++i) {
    for (const ConfigKey& key : config_keys()) {
      if (is_check_key(key)) set_key(loaded, document, key, i);
    }
  }
  loaded.config.notify.resize(document.notify_places.size());
  for (std::size_t i = 0; i < loaded.config.notify.size(); ++i) {
    for (const ConfigKey& key : config_keys()) {
      if (is_notify_key(key)) set_key(loaded, document, key, i);
    }
  }
}

// Each has a name of its own, a question and an expectation.
void check_checks(const Config& config, const ConfigDocument& document) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < config.checks.size(); ++i) {
    const CheckConfig& check = config.checks[i];
    const std::string& place = document.check_places[i];
    if (check.name.empty()) refuse_configuration("a check has no name", place);
    if (!seen.insert(check.name).second) {
      refuse_configuration(fmt::format("two checks are called '{}'", check.name), place);
    }
    if (check.sql.empty()) refuse_configuration("a check has no sql", place);
    if (check.expect.empty()) {
      refuse_configuration("a check has no expect", place,
                           fmt::format("Say which answer is right: {}.", kExpectationForms));
    }
  }
}

void check_notify(const NotifyConfig& notify, const std::string& place) {
  const NotifyConfig::Email& email = notify.email;
  const int ways = int{!notify.slack_webhook_file.empty()} + int{!notify.webhook.url.empty()} +
                   int{!email.server.empty()} + int{!notify.command.run.empty()};
  if (ways != 1) {
    refuse_configuration(
        "an entry of 'notify' goes exactly one way", place,
        "One of slack.webhook_file, webhook.url, email.server and command.run is needed.");
  }
  if (notify.webhook.url.empty() &&
      !(notify.webhook.secret_file.empty() && notify.webhook.ca_file.empty())) {
    refuse_configuration("'webhook' has no url", place);
  }
  const bool has_more = !email.from.empty() || !email.to.empty() || !email.user.empty() ||
                        !email.password_file.empty() || !email.ca_file.empty();
  if (email.server.empty() && has_more) refuse_configuration("'email' has no server", place);
  if (email.server.empty()) return;
  if (email.from.empty() || email.to.empty()) {
    refuse_configuration("'email' needs from and to", place);
  }
  if (split_list(email.from).size() > 1) {
    refuse_configuration("'email.from' is one address", place);
  }
  if (email.user.empty() != email.password_file.empty()) {
    refuse_configuration("'email.user' and 'email.password_file' belong together", place);
  }
  if (!email.tls && !email.user.empty()) {
    refuse_configuration("a password is not sent in plain text", place,
                         "Leave 'email.tls' as it is, or take user and password_file out.");
  }
}

// The place of the first key of repository `index` whose path begins with `section`.
std::string place_of(const ConfigDocument& document, std::size_t index, std::string_view section) {
  for (const Assignment& assignment : document.assignments) {
    if (assignment.entry == index && is_repository_key(*assignment.key) &&
        path_in_entry(assignment.key->path).starts_with(section)) {
      return assignment.place;
    }
  }
  return document.repository_places[index];
}

bool is_for_s3_only(std::string_view key) {
  return key != "name" && key != "url" && key != "wal" && !key.starts_with("encryption.") &&
         !key.starts_with("retention.") && !key.starts_with("copy.");
}

bool is_frozen_class(std::string_view storage_class) {
  return storage_class == "GLACIER" || storage_class == "DEEP_ARCHIVE";
}

void check_repository(const RepositoryConfig& repository, const ConfigDocument& document,
                      std::size_t index) {
  const auto place = [&](std::string_view section) { return place_of(document, index, section); };
  if (repository.url.empty()) {
    refuse_configuration(fmt::format("repository '{}' has no url", repository.name), place("name"));
  }
  const S3Config& s3 = repository.s3;
  if (!repository.encryption.key_file.empty() && !repository.encryption.passphrase_file.empty()) {
    refuse_configuration("'encryption' has both key_file and passphrase_file", place("encryption."),
                         "Name the one with which this machine opens the repository.");
  }
  if (s3.access_key_file.empty() != s3.secret_key_file.empty()) {
    refuse_configuration("access_key_file and secret_key_file belong together",
                         place("credentials."));
  }
  if (!s3.access_key_file.empty() && !s3.profile.empty()) {
    refuse_configuration("'credentials' has both a profile and key files", place("credentials."));
  }
  if (s3.access_key_file.empty() && !s3.session_token_file.empty()) {
    refuse_configuration("session_token_file needs access_key_file and secret_key_file",
                         place("credentials."));
  }
  if (!s3.kms_key_id.empty() && s3.server_side_encryption != "aws:kms") {
    refuse_configuration("kms_key_id needs server_side_encryption: aws:kms", place("kms_key_id"));
  }
  if (is_frozen_class(repository.storage_class.catalogue)) {
    refuse_configuration(
        "the catalogue cannot be in a frozen storage class: every command reads it",
        place("storage_class.catalogue"));
  }
  if (!repository.url.starts_with("file://")) return;
  for (const Assignment& assignment : document.assignments) {
    const std::string_view key = path_in_entry(assignment.key->path);
    if (assignment.entry == index && is_repository_key(*assignment.key) && is_for_s3_only(key)) {
      refuse_configuration(
          fmt::format("'{}' is for S3, but repository '{}' is a folder", key, repository.name),
          assignment.place);
    }
  }
}

void check_whole(const LoadedConfig& loaded, const ConfigDocument& document) {
  const Config& config = loaded.config;
  if (config.cluster.empty()) refuse_configuration("'cluster' is missing", config.file.string());
  if (config.repositories.empty()) {
    refuse_configuration("no repository is configured", config.file.string(),
                         "Add 'repositories:' with at least a name and a url.");
  }
  for (std::size_t i = 0; i < config.repositories.size(); ++i) {
    check_repository(config.repositories[i], document, i);
  }
  check_checks(config, document);
  for (std::size_t i = 0; i < config.notify.size(); ++i) {
    check_notify(config.notify[i], document.notify_places[i]);
  }
}

}  // namespace

LoadedConfig load_config(const ConfigRequest& request) {
  LoadedConfig loaded;
  const ConfigFile file = locate_config(request);
  loaded.config.file = file.path;
  ConfigDocument document = read_config_document(file.text, file.path.string());
  const std::vector<std::string> names = repository_names(document);
  apply_environment(document, names, request.environment);
  set_all_keys(loaded, document, names);
  check_whole(loaded, document);
  if (!request.cluster.empty() && request.cluster != loaded.config.cluster) {
    refuse_configuration(fmt::format("this is the configuration of cluster '{}', not of '{}'",
                                     loaded.config.cluster, request.cluster),
                         file.path.string());
  }
  if (loaded.config.state_directory.empty()) {
    loaded.config.state_directory = default_state_directory(loaded.config, request.state_root);
    for (ConfigValue& value : loaded.values) {
      if (value.key == "state_directory") value.value = loaded.config.state_directory.string();
    }
  }
  return loaded;
}

const RepositoryConfig& find_repository(const Config& config, const std::string& name) {
  if (name.empty() && !config.repositories.empty()) return config.repositories.front();
  std::vector<std::string> names;
  for (const RepositoryConfig& repository : config.repositories) {
    if (repository.name == name) return repository;
    names.push_back(repository.name);
  }
  throw Error(ErrorKind::kUsage, fmt::format("no repository is called '{}'", name),
              {.object = config.file.string(),
               .hint = fmt::format("Configured: {}.", fmt::join(names, ", "))});
}

}  // namespace holdfast
