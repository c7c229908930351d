#pragma once
// Credentials from services: STS by web identity, the container endpoint, the instance's metadata.
// Errors: kRepository (retryable where a retry may help) when the service fails or answers
// nonsense; kConfiguration when it refuses. What the service sent is never part of a message, save
// its error code.

#include <optional>
#include <stop_token>
#include <string>

#include "storage/credentials.h"

namespace holdfast {

struct WebIdentity {
  std::string role_arn;
  std::string token_file;  // read at every call: the platform replaces its content
  std::string session_name;
};

// AssumeRoleWithWebIdentity at AWS_ENDPOINT_URL_STS, else at the region's STS.
Credentials assume_role_with_web_identity(const WebIdentity& identity,
                                          const CredentialOptions& options,
                                          const EnvironmentLookup& environment,
                                          const std::stop_token& stop);

// nullopt unless AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI is set.
std::optional<Credentials> container_credentials(const EnvironmentLookup& environment,
                                                 const std::stop_token& stop);

struct InstanceAnswer {
  std::optional<Credentials> credentials;
  std::string why_not;  // when there are none: no service, switched off, no role
};

// IMDSv2. On a machine without a metadata service this takes about a second.
InstanceAnswer instance_credentials(const EnvironmentLookup& environment,
                                    const std::stop_token& stop);

}  // namespace holdfast
