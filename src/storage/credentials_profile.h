#pragma once
// The shared AWS files: ~/.aws/credentials and ~/.aws/config, or where AWS_SHARED_CREDENTIALS_FILE
// and AWS_CONFIG_FILE point. What both files say about one profile is merged; the credentials file
// wins. Settings nested under a key (indented lines) are skipped: none of them matters here.
// Errors: kConfiguration when a file that was asked for by name is missing, or one is too large.
// Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "storage/credentials.h"

namespace holdfast {

using ProfileSettings = std::map<std::string, std::string>;

struct Profile {
  std::string name;
  ProfileSettings settings;
  std::string files;  // for messages: the files that were looked at

  // The value of a key, or an empty string.
  std::string get(const std::string& key) const;
};

// Sections by name, as they stand in brackets. Lines that are neither are ignored, as AWS does.
std::map<std::string, ProfileSettings> parse_profile_file(std::string_view text);

// The chosen profile. nullopt when no file has it; that is an error (kConfiguration) when the
// configuration or AWS_PROFILE names it.
std::optional<Profile> load_profile(const CredentialOptions& options,
                                    const EnvironmentLookup& environment);

}  // namespace holdfast
