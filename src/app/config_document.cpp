#include "app/config_document.h"

#include <set>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "core/error.h"
#include "core/text.h"

namespace holdfast {
namespace {

std::string join_path(std::string_view section, std::string_view name) {
  return section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
}

// Names that may stand directly in `section` ("" for the top of the file).
std::set<std::string> names_in(std::string_view section) {
  std::set<std::string> names;
  for (const ConfigKey& key : config_keys()) {
    std::string_view path = key.path;
    if (!section.empty()) {
      if (!path.starts_with(section) || path.size() <= section.size() ||
          path[section.size()] != '.') {
        continue;
      }
      path.remove_prefix(section.size() + 1);
    }
    std::string name(path.substr(0, path.find('.')));
    if (name.ends_with("[]")) name.resize(name.size() - 2);
    names.insert(std::move(name));
  }
  return names;
}

std::string describe_section(std::string_view section) {
  if (section.empty()) return "the top of the file";
  if (section.starts_with(kRepositoryPath)) {
    return section == kRepositoryPath ? "a repository"
                                      : fmt::format("'{}' of a repository", path_in_entry(section));
  }
  if (section == kCheckPath) return "a check";
  if (section.starts_with(kNotifyEntryPath)) {
    return section == kNotifyEntryPath
               ? "an entry of 'notify'"
               : fmt::format("'{}' of an entry of 'notify'", path_in_entry(section));
  }
  return fmt::format("'{}'", section);
}

// "'data_directory' belongs under 'postgres'" for a key that stands in the wrong section.
std::string hint_for_unknown(std::string_view section, const std::string& name) {
  for (const ConfigKey& key : config_keys()) {
    const std::size_t dot = key.path.rfind('.');
    if (dot == std::string_view::npos || key.path.substr(dot + 1) != name) continue;
    return fmt::format("'{}' belongs in {}.", name, describe_section(key.path.substr(0, dot)));
  }
  const std::set<std::string> known = names_in(section);
  if (const auto close = nearest(name, known)) return fmt::format("Did you mean '{}'?", *close);
  return fmt::format("Known here: {}.", fmt::join(known, ", "));
}

class DocumentReader {
 public:
  explicit DocumentReader(const std::string& file) : file_(file) {}

  ConfigDocument read(const std::string& text) {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) refuse_configuration("the configuration file is empty", file_);
    read_section(root, "", std::nullopt);
    return std::move(document_);
  }

  std::string place(const YAML::Mark& mark) const {
    return mark.line < 0 ? file_ : fmt::format("{}:{}", file_, mark.line + 1);
  }

 private:
  using Entry = std::optional<std::size_t>;

  void read_section(const YAML::Node& node, const std::string& section, Entry entry) {
    if (!node.IsMap()) {
      refuse_configuration(
          fmt::format("{} must hold 'key: value' lines", describe_section(section)),
          place(node.Mark()));
    }
    std::set<std::string> seen;
    for (const auto& line : node) {
      const std::string at = place(line.first.Mark());
      if (!line.first.IsScalar()) refuse_configuration("a key must be a plain word", at);
      const std::string& name = line.first.Scalar();
      if (!seen.insert(name).second) {
        refuse_configuration(
            fmt::format("'{}' is there twice in {}", name, describe_section(section)), at);
      }
      read_entry(line.second, section, name, at, entry);
    }
  }

  void read_entry(const YAML::Node& node, const std::string& section, const std::string& name,
                  const std::string& at, Entry entry) {
    const std::string path = join_path(section, name);
    // A name with a dot in it is never a path: "postgres.connection: x" is not a section.
    const bool is_one_word = name.find_first_of(".[") == std::string::npos;
    if (const ConfigKey* key = is_one_word ? find_config_key(path) : nullptr) {
      read_value(node, *key, at, entry);
    } else if (path == kRepositoriesPath) {
      read_list(
          node, at,
          {kRepositoriesPath, kRepositoryPath, kRepositoriesMax, document_.repository_places});
    } else if (path == kChecksPath) {
      read_list(node, at, {kChecksPath, kCheckPath, kChecksMax, document_.check_places});
    } else if (path == kNotifyPath) {
      read_list(node, at, {kNotifyPath, kNotifyEntryPath, kNotifyMax, document_.notify_places});
    } else if (is_one_word && names_in(section).contains(name)) {
      read_section(node, path, entry);
    } else {
      refuse_configuration(fmt::format("unknown key '{}' in {}", name, describe_section(section)),
                           at, hint_for_unknown(section, name));
    }
  }

  void read_value(const YAML::Node& node, const ConfigKey& key, const std::string& at,
                  Entry entry) {
    if (key.state == KeyState::kLater) refuse_later_key(key.path, at);
    const std::string_view name = path_in_entry(key.path);
    if (node.IsNull()) refuse_configuration(fmt::format("'{}' has no value", name), at);
    if (node.IsSequence() && is_list_type(key.type)) {
      return document_.assignments.push_back({&key, entry, joined(node, at), at, "file"});
    }
    if (!node.IsScalar())
      refuse_configuration(fmt::format("'{}' must be {}", name, describe_type(key)), at);
    document_.assignments.push_back({&key, entry, node.Scalar(), at, "file"});
  }

  static bool is_list_type(KeyType type) {
    return type == KeyType::kEvents || type == KeyType::kMails;
  }
  static std::string joined(const YAML::Node& list, const std::string& at) {
    std::string text;
    for (const YAML::Node& word : list) {
      if (!word.IsScalar()) refuse_configuration("a list of plain words belongs here", at);
      text += (text.empty() ? "" : ", ") + word.Scalar();
    }
    return text;
  }

  struct List {
    std::string_view path, entry_path;
    std::size_t limit;
    std::vector<std::string>& places;
  };
  void read_list(const YAML::Node& node, const std::string& at, const List& list) {
    if (!node.IsSequence()) {
      refuse_configuration(fmt::format("'{}' must be a list: each begins with '- {}: …'", list.path,
                                       list.path == kNotifyPath ? "slack" : "name"),
                           at);
    }
    if (node.size() > list.limit) {
      refuse_configuration(fmt::format("more than {} {}", list.limit, list.path), at);
    }
    for (const YAML::Node& element : node) {
      const std::size_t index = list.places.size();
      list.places.push_back(place(element.Mark()));
      read_section(element, std::string(list.entry_path), index);
    }
  }

  const std::string& file_;
  ConfigDocument document_;
};

}  // namespace

void refuse_later_key(std::string_view path, const std::string& place) {
  refuse_configuration(fmt::format("'{}': this build does not have it yet", path_in_entry(path)),
                       place, "Remove the key: nothing in this build acts on it.");
}

void refuse_configuration(std::string message, std::string place, std::string hint) {
  throw Error(ErrorKind::kConfiguration, std::move(message),
              {.object = std::move(place), .hint = std::move(hint)});
}

ConfigDocument read_config_document(const std::string& text, const std::string& file) {
  DocumentReader reader(file);
  try {
    return reader.read(text);
  } catch (const YAML::Exception& error) {
    refuse_configuration(fmt::format("not valid YAML: {}", error.msg), reader.place(error.mark));
  }
}

std::string peek_cluster_name(const std::string& text) {
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) return {};
    const YAML::Node name = root["cluster"];
    return name && name.IsScalar() ? name.Scalar() : std::string{};
  } catch (const YAML::Exception&) {
    return {};
  }
}

}  // namespace holdfast
