#include "storage/credentials_profile.h"

#include <filesystem>

#include <fmt/format.h>

#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::size_t kProfileFileBytesMax = std::size_t{1} << 20U;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// A comment behind a value begins with a blank and '#' or ';'.
std::string_view without_comment(std::string_view value) {
  for (std::size_t i = 1; i < value.size(); ++i) {
    const bool mark = value[i] == '#' || value[i] == ';';
    if (mark && (value[i - 1] == ' ' || value[i - 1] == '\t')) return trimmed(value.substr(0, i));
  }
  return value;
}

struct SharedFile {
  std::string path;
  bool named = false;  // by the user, not by convention
};

SharedFile shared_file(const EnvironmentLookup& environment, const std::string& variable,
                       std::string_view file_name) {
  if (const auto path = environment(variable)) return {*path, true};
  const auto home = environment("HOME");
  if (!home || home->empty()) return {};
  return {fmt::format("{}/.aws/{}", *home, file_name), false};
}

std::map<std::string, ProfileSettings> read_shared_file(const SharedFile& file) {
  if (file.path.empty()) return {};
  const auto text = read_file(file.path, kProfileFileBytesMax);
  if (text) return parse_profile_file(*text);
  if (file.named) {
    throw Error(ErrorKind::kConfiguration, "the AWS credentials file does not exist",
                {.object = file.path});
  }
  return {};
}

// Settings that the profile does not have yet. In the config file a profile other than "default"
// is called [profile NAME].
void merge(Profile& profile, const std::map<std::string, ProfileSettings>& sections, bool& found) {
  for (const std::string& section : {profile.name, "profile " + profile.name}) {
    const auto settings = sections.find(section);
    if (settings == sections.end()) continue;
    found = true;
    profile.settings.insert(settings->second.begin(), settings->second.end());
  }
}

}  // namespace

std::string Profile::get(const std::string& key) const {
  const auto setting = settings.find(key);
  return setting == settings.end() ? std::string() : setting->second;
}

std::map<std::string, ProfileSettings> parse_profile_file(std::string_view text) {
  std::map<std::string, ProfileSettings> sections;
  ProfileSettings* section = nullptr;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view line = trimmed(raw);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      const std::size_t close = line.find(']');
      if (close == std::string_view::npos) continue;
      section = &sections[std::string(trimmed(line.substr(1, close - 1)))];
      continue;
    }
    const std::size_t equals = line.find('=');
    const bool nested = raw[0] == ' ' || raw[0] == '\t';
    if (section == nullptr || nested || equals == std::string_view::npos) continue;
    (*section)[std::string(trimmed(line.substr(0, equals)))] =
        without_comment(trimmed(line.substr(equals + 1)));
  }
  return sections;
}

std::optional<Profile> load_profile(const CredentialOptions& options,
                                    const EnvironmentLookup& environment) {
  Profile profile;
  profile.name = options.profile;
  if (profile.name.empty()) profile.name = environment("AWS_PROFILE").value_or("");
  const bool named = !profile.name.empty();
  if (!named) profile.name = "default";
  SharedFile credentials = shared_file(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
  if (!options.credentials_file.empty()) credentials = {options.credentials_file, true};
  const SharedFile config = shared_file(environment, "AWS_CONFIG_FILE", "config");
  bool found = false;
  merge(profile, read_shared_file(credentials), found);
  merge(profile, read_shared_file(config), found);
  profile.files = fmt::format("{}, {}", credentials.path, config.path);
  if (found) return profile;
  if (!named) return std::nullopt;
  throw Error(ErrorKind::kConfiguration,
              fmt::format("there is no AWS profile '{}' in {}", profile.name, profile.files),
              {.object = profile.name,
               .hint = "set credentials.profile or AWS_PROFILE to a profile of these files"});
}

}  // namespace holdfast
