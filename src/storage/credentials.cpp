#include "storage/credentials.h"

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "storage/credentials_profile.h"
#include "storage/credentials_remote.h"
#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::chrono::minutes kRefreshBeforeExpiry{5};
constexpr std::chrono::seconds kRefreshPause{30};  // between attempts while the old keys work
constexpr std::size_t kAccessKeyBytesMax = 4096;

// Looks through the sources in their order. Collects why each of them had nothing.
class Search {
 public:
  Search(const CredentialOptions& options, const EnvironmentLookup& environment,
         const std::stop_token& stop)
      : options_(options), environment_(environment), stop_(stop) {}

  Credentials run() {
    if (auto found = from_files()) return *found;
    if (!options_.profile.empty()) {
      if (auto found = from_profile()) return *found;
      throw none_found();
    }
    if (auto found = from_environment()) return *found;
    if (auto found = from_web_identity()) return *found;
    if (auto found = from_profile()) return *found;
    if (auto found = container_credentials(environment_, stop_)) return *found;
    note("container (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, _FULL_URI): not set");
    InstanceAnswer instance = instance_credentials(environment_, stop_);
    if (instance.credentials) return *instance.credentials;
    note("instance metadata: " + instance.why_not);
    throw none_found();
  }

 private:
  std::string variable(const std::string& name) const { return environment_(name).value_or(""); }
  void note(const std::string& text) { tried_ += (tried_.empty() ? "" : "; ") + text; }

  Error none_found() const {
    return Error(ErrorKind::kConfiguration, "no credentials for S3 were found; tried: " + tried_,
                 {.object = "credentials",
                  .hint = "set credentials.access_key_file and secret_key_file, or a profile"});
  }

  std::optional<Credentials> from_files() {
    if (options_.access_key_file.empty() && options_.secret_key_file.empty()) return std::nullopt;
    if (options_.access_key_file.empty() || options_.secret_key_file.empty()) {
      throw Error(ErrorKind::kConfiguration,
                  "access_key_file and secret_key_file must be set together",
                  {.object = "credentials"});
    }
    const auto id = read_file(options_.access_key_file, kAccessKeyBytesMax);
    if (!id) {
      throw Error(ErrorKind::kConfiguration, "the access key file does not exist",
                  {.object = options_.access_key_file});
    }
    Credentials found{.keys = {.access_key_id = id->substr(0, id->find_last_not_of("\r\n \t") + 1),
                               .secret_access_key = read_secret_file(options_.secret_key_file),
                               .session_token = ""},
                      .expires = std::nullopt,
                      .source = "the key files of the configuration"};
    if (!options_.session_token_file.empty()) {
      found.keys.session_token = read_secret_file(options_.session_token_file);
    }
    return found;
  }

  std::optional<Credentials> from_environment() {
    Credentials found{.keys = {.access_key_id = variable("AWS_ACCESS_KEY_ID"),
                               .secret_access_key = variable("AWS_SECRET_ACCESS_KEY"),
                               .session_token = variable("AWS_SESSION_TOKEN")},
                      .expires = std::nullopt,
                      .source = "environment"};
    const AccessKeys& keys = found.keys;
    if (keys.access_key_id.empty() && keys.secret_access_key.empty()) {
      note("environment (AWS_ACCESS_KEY_ID): not set");
      return std::nullopt;
    }
    if (keys.access_key_id.empty() || keys.secret_access_key.empty()) {
      throw Error(ErrorKind::kConfiguration,
                  "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together",
                  {.object = "AWS_ACCESS_KEY_ID"});
    }
    return found;
  }

  std::optional<Credentials> from_web_identity() {
    const WebIdentity identity{.role_arn = variable("AWS_ROLE_ARN"),
                               .token_file = variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
                               .session_name = session_name(variable("AWS_ROLE_SESSION_NAME"))};
    if (identity.role_arn.empty() || identity.token_file.empty()) {
      note("web identity (AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN): not set");
      return std::nullopt;
    }
    return assume_role_with_web_identity(identity, options_, environment_, stop_);
  }

  static std::string session_name(const std::string& chosen) {
    return chosen.empty() ? "holdfast" : chosen;
  }

  std::optional<Credentials> from_profile() {
    const std::optional<Profile> profile = load_profile(options_, environment_);
    if (!profile) {
      note("shared credentials file: no profile 'default'");
      return std::nullopt;
    }
    Credentials found{.keys = {.access_key_id = profile->get("aws_access_key_id"),
                               .secret_access_key = profile->get("aws_secret_access_key"),
                               .session_token = profile->get("aws_session_token")},
                      .expires = std::nullopt,
                      .source = fmt::format("profile '{}'", profile->name)};
    if (!found.keys.access_key_id.empty() && !found.keys.secret_access_key.empty()) return found;
    const WebIdentity identity{.role_arn = profile->get("role_arn"),
                               .token_file = profile->get("web_identity_token_file"),
                               .session_name = session_name(profile->get("role_session_name"))};
    if (!identity.role_arn.empty() && !identity.token_file.empty()) {
      return assume_role_with_web_identity(identity, options_, environment_, stop_);
    }
    refuse_unsupported(*profile);
    note(fmt::format("profile '{}' in {}: no keys", profile->name, profile->files));
    return std::nullopt;
  }

  // A profile that other tools can use and Holdfast cannot: going on to the next source would give
  // another identity than the user means.
  static void refuse_unsupported(const Profile& profile) {
    for (const char* key : {"credential_process", "sso_session", "sso_start_url", "source_profile",
                            "credential_source", "login_session"}) {
      if (profile.get(key).empty()) continue;
      throw Error(ErrorKind::kConfiguration,
                  fmt::format("AWS profile '{}' uses {}, which Holdfast does not support",
                              profile.name, key),
                  {.object = profile.name,
                   .hint = "use a profile with keys or web_identity_token_file, or key files"});
    }
  }

  const CredentialOptions& options_;
  const EnvironmentLookup& environment_;
  const std::stop_token& stop_;
  std::string tried_;
};

class CachedProvider final : public CredentialProvider {
 public:
  CachedProvider(CredentialOptions options, EnvironmentLookup environment, const Clock& clock)
      : options_(std::move(options)), environment_(std::move(environment)), clock_(clock) {}

  Credentials get(const std::stop_token& stop) override {
    std::unique_lock lock(mutex_);
    for (;;) {
      check_cancelled(stop);
      if (current_ && !refresh_due(*current_)) return *current_;
      if (!refreshing_) break;
      if (current_ && still_valid(*current_)) return *current_;
      changed_.wait(lock, stop, [this] { return !refreshing_; });
    }
    refreshing_ = true;
    lock.unlock();
    return refresh(stop);
  }

  void reject(const Credentials& credentials) override {
    const std::lock_guard lock(mutex_);
    if (current_ && current_->keys.access_key_id == credentials.keys.access_key_id &&
        current_->keys.session_token == credentials.keys.session_token) {
      current_.reset();
    }
  }

 private:
  bool still_valid(const Credentials& credentials) const {
    return !credentials.expires || clock_.now() < *credentials.expires;
  }

  bool refresh_due(const Credentials& credentials) const {
    if (!credentials.expires) return false;
    if (clock_.now() + kRefreshBeforeExpiry < *credentials.expires) return false;
    return !still_valid(credentials) || clock_.now() >= next_attempt_;
  }

  // Called by the one thread that set refreshing_.
  Credentials refresh(const std::stop_token& stop) {
    std::optional<Credentials> fetched;
    std::exception_ptr failure;
    try {
      fetched = Search(options_, environment_, stop).run();
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    refreshing_ = false;
    next_attempt_ = clock_.now() + kRefreshPause;
    changed_.notify_all();
    if (fetched) {
      current_ = std::move(fetched);
      return *current_;
    }
    check_cancelled(stop);
    if (current_ && still_valid(*current_))
      return *current_;  // the service may be back before they expire
    std::rethrow_exception(failure);
  }

  const CredentialOptions options_;
  const EnvironmentLookup environment_;
  const Clock& clock_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable_any changed_;
  std::optional<Credentials> current_;
  Timestamp next_attempt_{};
  bool refreshing_ = false;
};

}  // namespace

EnvironmentLookup process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::unique_ptr<CredentialProvider> make_credential_provider(CredentialOptions options,
                                                             EnvironmentLookup environment,
                                                             const Clock& clock) {
  return std::make_unique<CachedProvider>(std::move(options), std::move(environment), clock);
}

std::optional<std::string> find_region(const CredentialOptions& options,
                                       const EnvironmentLookup& environment) {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (const auto region = environment(name); region && !region->empty()) return region;
  }
  const std::optional<Profile> profile = load_profile(options, environment);
  if (!profile || profile->get("region").empty()) return std::nullopt;
  return profile->get("region");
}

}  // namespace holdfast
