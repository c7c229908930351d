#pragma once
// Where the keys for S3 come from: one small interface over every place that AWS tools look at.
//
// Order: files named in the configuration; a profile named in the configuration; else environment
// variables, web identity (Kubernetes on EKS), the shared credentials and config files (profile of
// AWS_PROFILE or "default"), the container endpoint (ECS, EKS Pod Identity), and the metadata
// service of the instance (IMDSv2). A source that is set up but fails is an error, never a reason
// to go on to the next: it would give a wrong identity.
// Errors: kConfiguration when no source has keys (the message lists what was tried) or a source is
//   set up wrongly; kRepository, retryable, when a credential service fails.
// No message ever contains a key, a token or a body that holds one.
// Sources: AWS SDKs and Tools Reference Guide (standardised credential providers); AWS STS API
// reference (AssumeRoleWithWebIdentity); Amazon EC2 user guide (IMDSv2).

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "core/time.h"
#include "storage/sigv4.h"

namespace holdfast {

// Looks environment variables up; a test gives its own.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;
EnvironmentLookup process_environment();

struct Credentials {
  AccessKeys keys;
  std::optional<Timestamp> expires;  // by this machine's clock; absent: never
  std::string source;                // for messages: "environment", "profile 'backup' in …"
};

struct CredentialOptions {
  std::string access_key_file = {}, secret_key_file = {}, session_token_file = {};
  std::string profile = {}, credentials_file = {};
  std::string region = {};  // whose STS is asked
  std::string proxy = {};   // for STS; the local services are never asked through a proxy
};

// Threads: both methods may be called from several threads at once; one of them refreshes, and the
// others go on with the old keys while those are valid.
class CredentialProvider {
 public:
  virtual ~CredentialProvider() = default;

  // Keys that are valid for some minutes more wherever that is possible: they are fetched again
  // five minutes before they expire.
  virtual Credentials get(const std::stop_token& stop) = 0;

  // The server says that these keys have expired: the next get() fetches new ones.
  virtual void reject(const Credentials& credentials) = 0;
};

// Makes no request and reads no file before the first get(). `clock` must outlive the provider.
std::unique_ptr<CredentialProvider> make_credential_provider(CredentialOptions options,
                                                             EnvironmentLookup environment,
                                                             const Clock& clock);

// The region that environment or profile name, else nullopt. Reads files.
std::optional<std::string> find_region(const CredentialOptions& options,
                                       const EnvironmentLookup& environment);

}  // namespace holdfast
