// `config check`: the files that the configuration names.
#include <functional>

#include <fmt/format.h>
#include <unistd.h>

#include "app/config.h"
#include "core/error.h"
#include "core/redact.h"
#include "system/files.h"

namespace holdfast {
namespace {

using Severity = ConfigFinding::Severity;

class Checker {
 public:
  void secret_file(const std::string& key, const std::string& path) {
    if (path.empty()) return;
    try {
      // Read now, so that a file that cannot be read is found before the night's backup needs it.
      if (read_secret_file(path).empty()) problem(key, fmt::format("{} is empty", path), "");
    } catch (const Error& error) {
      problem(key, error.message(), error.hint());
    }
  }

  void plain_file(const std::string& key, const std::string& path) {
    if (path.empty() || ::access(path.c_str(), R_OK) == 0) return;
    problem(key, fmt::format("{} does not exist or cannot be read", path), "");
  }

  void connection(const std::string& key, const std::string& text) {
    if (redact_secrets(text) == text) return;
    warning(key, "a password stands in the connection string",
            "Move it to a passfile (passfile=… in the connection string, or ~/.pgpass).");
  }

  void problem(const std::string& key, std::string message, std::string hint) {
    findings.push_back({Severity::kProblem, key, std::move(message), std::move(hint)});
  }
  void warning(const std::string& key, std::string message, std::string hint) {
    findings.push_back({Severity::kWarning, key, std::move(message), std::move(hint)});
  }

  std::vector<ConfigFinding> findings;
};

void check_repository(Checker& checker, const RepositoryConfig& repository) {
  const auto key = [&](std::string_view name) {
    return fmt::format("repositories.{}.{}", repository.name, name);
  };
  const S3Config& s3 = repository.s3;
  checker.secret_file(key("encryption.key_file"), repository.encryption.key_file);
  checker.secret_file(key("encryption.passphrase_file"), repository.encryption.passphrase_file);
  checker.secret_file(key("credentials.access_key_file"), s3.access_key_file);
  checker.secret_file(key("credentials.secret_key_file"), s3.secret_key_file);
  checker.secret_file(key("credentials.session_token_file"), s3.session_token_file);
  checker.plain_file(key("credentials.credentials_file"), s3.credentials_file);
  checker.plain_file(key("ca_file"), s3.ca_file);
  if (!repository.encryption.configured()) {
    checker.warning(key("encryption"), "the repository is not encrypted",
                    "Set encryption.key_file before the first `holdfast init`.");
  }
  if (!s3.verify_tls) {
    checker.warning(key("verify_tls"), "any server certificate is accepted",
                    "Set ca_file instead.");
  }
}

void check_notify(Checker& checker, const NotifyConfig& notify, std::size_t number) {
  const auto key = [&](std::string_view name) { return fmt::format("notify.{}.{}", number, name); };
  checker.secret_file(key("slack.webhook_file"), notify.slack_webhook_file);
  checker.secret_file(key("webhook.secret_file"), notify.webhook.secret_file);
  checker.secret_file(key("email.password_file"), notify.email.password_file);
  checker.plain_file(key("webhook.ca_file"), notify.webhook.ca_file);
  checker.plain_file(key("email.ca_file"), notify.email.ca_file);
}

}  // namespace

std::vector<ConfigFinding> check_config(const LoadedConfig& loaded) {
  Checker checker;
  const PostgresConfig& postgres = loaded.config.postgres;
  if (postgres.data_directory.empty()) {
    checker.warning("postgres.data_directory", "not set, so this machine cannot take backups", "");
  }
  checker.connection("postgres.connection", postgres.connection);
  checker.connection("postgres.primary_connection", postgres.primary_connection);
  for (const RepositoryConfig& repository : loaded.config.repositories) {
    check_repository(checker, repository);
  }
  for (std::size_t i = 0; i < loaded.config.notify.size(); ++i) {
    check_notify(checker, loaded.config.notify[i], i + 1);
  }
  return std::move(checker.findings);
}

}  // namespace holdfast
