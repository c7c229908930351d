// Passwords inside connection strings and URLs, replaced before anything is shown.
// Source of the two forms: PostgreSQL documentation, "Connection Strings" of libpq.
#include <cctype>

#include "app/config.h"

namespace holdfast {
namespace {

constexpr std::string_view kMask = "***";

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// The end of a libpq value that begins at `at`: quoted with '…' and \ escapes, or up to a blank.
std::size_t end_of_value(std::string_view text, std::size_t at) {
  const bool quoted = at < text.size() && text[at] == '\'';
  if (quoted) ++at;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;  // and the character after it
    } else if (quoted ? text[at] == '\''
                      : std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      return quoted ? at + 1 : at;
    }
  }
  return text.size();
}

// password=… and sslpassword=…, with blanks around '='; in a URI's query up to the next '&'.
std::string redact_assignments(std::string_view text, bool is_uri) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t word_end = at;
    while (word_end < text.size() && is_word(text[word_end])) ++word_end;
    if (word_end == at) {
      out += text[at++];
      continue;
    }
    const std::string_view word = text.substr(at, word_end - at);
    out += word;
    at = word_end;
    if (word != "password" && word != "sslpassword") continue;
    std::size_t value = at;
    while (value < text.size() && text[value] == ' ') ++value;
    if (value == text.size() || text[value] != '=') continue;
    ++value;
    while (!is_uri && value < text.size() && text[value] == ' ') ++value;
    out += text.substr(at, value - at);
    out += kMask;
    at = is_uri ? std::min(text.find('&', value), text.size()) : end_of_value(text, value);
  }
  return out;
}

}  // namespace

std::string redact_secrets(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || text.find_first_of(" '=") < scheme) {
    return redact_assignments(text, false);
  }
  const std::size_t begin = scheme + 3;
  // A password may hold a bare '@' or '/', which are not legal there but do get typed: everything
  // up to the last '@' before the query counts as user information.
  const std::size_t at_sign = text.substr(0, text.find('?')).rfind('@');
  std::string head(text.substr(0, begin));
  std::string_view rest = text.substr(begin);
  if (at_sign != std::string_view::npos && at_sign > begin) {
    const std::string_view user = text.substr(begin, at_sign - begin);
    const std::size_t colon = user.find(':');
    head += user.substr(0, colon);
    if (colon != std::string_view::npos) (head += ':') += kMask;
    rest = text.substr(at_sign);
  }
  return head + redact_assignments(rest, true);
}

}  // namespace holdfast
