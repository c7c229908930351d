#include "storage/s3_answers.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <pugixml.hpp>

#include "core/error.h"
#include "storage/sigv4.h"

namespace holdfast {
namespace {

[[noreturn]] void throw_unreadable(std::string_view what) {
  throw Error(ErrorKind::kRepository,
              fmt::format("the S3 server's answer cannot be understood: {}", what),
              {.hint = "check that the endpoint is an S3 server", .retryable = true});
}

pugi::xml_node load(pugi::xml_document& document, ByteView body, const char* root) {
  const pugi::xml_parse_result result = document.load_buffer(body.data(), body.size());
  if (!result) throw_unreadable(fmt::format("{} is not XML ({})", root, result.description()));
  const pugi::xml_node node = document.child(root);
  if (!node) throw_unreadable(fmt::format("there is no {}", root));
  return node;
}

// Some servers ignore encoding-type; they do not repeat it in their answer.
std::string key_text(const char* text, bool url_encoded) {
  return url_encoded ? uri_decode(text) : std::string(text);
}

ObjectInfo parse_object(const pugi::xml_node& node, bool url_encoded) {
  const auto size = parse_decimal(node.child_value("Size"));
  const auto modified = parse_rfc3339(node.child_value("LastModified"));
  if (!size || !modified) throw_unreadable("an object without size or time");
  return {.name = key_text(node.child_value("Key"), url_encoded),
          .size = *size,
          .modified = *modified,
          .storage_class = node.child_value("StorageClass")};
}

S3VersionEntry parse_version(const pugi::xml_node& node, ObjectVersion::Kind kind,
                             bool url_encoded) {
  S3VersionEntry entry{.key = key_text(node.child_value("Key"), url_encoded),
                       .version = {.kind = kind,
                                   .id = node.child_value("VersionId"),
                                   .size = 0,
                                   .modified = {},
                                   .storage_class = node.child_value("StorageClass"),
                                   .etag = node.child_value("ETag")}};
  const auto modified = parse_rfc3339(node.child_value("LastModified"));
  const auto size = parse_decimal(node.child_value("Size"));
  const bool is_object = kind == ObjectVersion::Kind::kObject;
  if (!modified || entry.version.id.empty() || (is_object && !size)) {
    throw_unreadable("a version without id, size or time");
  }
  entry.version.modified = *modified;
  entry.version.size = size.value_or(0);
  return entry;
}

// Whether the list goes on.
bool is_truncated(const pugi::xml_node& root) {
  const std::string_view truncated = root.child_value("IsTruncated");
  if (truncated != "true" && truncated != "false") throw_unreadable("a list without an end mark");
  return truncated == "true";
}

void append_escaped(std::string& xml, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&':
        xml += "&amp;";
        break;
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      default:
        xml += c;
    }
  }
}

}  // namespace

S3ListAnswer parse_list(ByteView body) {
  pugi::xml_document document;
  const pugi::xml_node root = load(document, body, "ListBucketResult");
  const bool url_encoded = std::string_view(root.child_value("EncodingType")) == "url";
  S3ListAnswer answer;
  for (const pugi::xml_node node : root.children("Contents")) {
    answer.objects.push_back(parse_object(node, url_encoded));
  }
  for (const pugi::xml_node node : root.children("CommonPrefixes")) {
    answer.folders.push_back(key_text(node.child_value("Prefix"), url_encoded));
  }
  answer.truncated = is_truncated(root);
  answer.continuation = root.child_value("NextContinuationToken");
  return answer;
}

S3VersionsAnswer parse_versions(ByteView body) {
  pugi::xml_document document;
  const pugi::xml_node root = load(document, body, "ListVersionsResult");
  const bool url_encoded = std::string_view(root.child_value("EncodingType")) == "url";
  S3VersionsAnswer answer;
  for (const pugi::xml_node node : root.children()) {
    const std::string_view kind = node.name();
    if (kind == "Version") {
      answer.versions.push_back(parse_version(node, ObjectVersion::Kind::kObject, url_encoded));
    } else if (kind == "DeleteMarker") {
      answer.versions.push_back(
          parse_version(node, ObjectVersion::Kind::kDeleteMarker, url_encoded));
    } else if (kind == "CommonPrefixes") {
      answer.folders.push_back(key_text(node.child_value("Prefix"), url_encoded));
    }
  }
  answer.truncated = is_truncated(root);
  return answer;
}

VersioningState parse_versioning(ByteView body) {
  pugi::xml_document document;
  const pugi::xml_node root = load(document, body, "VersioningConfiguration");
  const std::string_view status = root.child_value("Status");
  if (status == "Enabled") return VersioningState::kEnabled;
  return status == "Suspended" ? VersioningState::kSuspended : VersioningState::kNone;
}

std::string delete_body(std::span<const std::string> keys) {
  std::string xml = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>";
  for (const std::string& key : keys) {
    xml += "<Object><Key>";
    append_escaped(xml, key);
    xml += "</Key></Object>";
  }
  return xml + "</Delete>";
}

std::string restore_body(const ThawRequest& request) {
  const std::string_view tier = request.speed == ThawSpeed::kBulk       ? "Bulk"
                                : request.speed == ThawSpeed::kStandard ? "Standard"
                                                                        : "Expedited";
  return fmt::format(
      "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>{}</Days>"
      "<GlacierJobParameters><Tier>{}</Tier></GlacierJobParameters></RestoreRequest>",
      request.days, tier);
}

std::vector<S3DeleteFailure> parse_delete(ByteView body) {
  pugi::xml_document document;
  const pugi::xml_node root = load(document, body, "DeleteResult");
  std::vector<S3DeleteFailure> failures;
  for (const pugi::xml_node node : root.children("Error")) {
    failures.push_back({.key = node.child_value("Key"),
                        .code = node.child_value("Code"),
                        .message = node.child_value("Message")});
  }
  return failures;
}

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Timestamp> parse_http_date(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") {
    return std::nullopt;
  }
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  if (month == kMonths.end()) return std::nullopt;
  const std::string rfc3339 =
      fmt::format("{}-{:02}-{}T{}Z", text.substr(12, 4), month - kMonths.begin() + 1,
                  text.substr(5, 2), text.substr(17, 8));
  return parse_rfc3339(rfc3339);
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  const auto first = parse_decimal(text.substr(0, dash));
  const auto last = parse_decimal(text.substr(dash + 1, slash - dash - 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return ContentRange{.first = *first, .last = *last};
}

}  // namespace holdfast
