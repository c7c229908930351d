#include "core/redact.h"

#include <algorithm>
#include <array>
#include <optional>

namespace holdfast {
namespace {

constexpr std::string_view kMask = "***";
constexpr auto npos = std::string_view::npos;

// Ends of names, in lower case, with '_' for '-'. libpq allows blanks around the '=' of the first.
constexpr std::array<std::string_view, 3> kPasswords{"password", "passwd", "passphrase"};
constexpr std::array<std::string_view, 8> kSecrets{
    "secret", "token", "signature", "api_key", "apikey", "access_key", "accesskey", "secret_key"};
constexpr std::string_view kSlackHook = "hooks.slack.com/";

char lower(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '-' ? '_' : c;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '-';
}
bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_of_scheme(char c) {
  return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
}

template <class List>
bool ends_in_one_of(std::string_view word, const List& names) {
  return std::ranges::any_of(names, [&](std::string_view name) {
    return word.size() >= name.size() &&
           std::ranges::equal(word.substr(word.size() - name.size()), name, {}, lower);
  });
}

// Goes over the text once; `at_` is what comes next, `out_` what is told of everything before it.
class Redacting {
 public:
  explicit Redacting(std::string_view text) : text_(text) {}

  std::string run() {
    while (at_ < text_.size()) {
      if (at_ >= user_from_ && at_ < user_to_) {
        mask(user_to_);
      } else if (text_.substr(at_).starts_with("://") && begins_url()) {
        url();
      } else if (is_word(text_[at_])) {
        word();
      } else {
        keep(at_ + 1);
      }
    }
    return std::move(out_);
  }

 private:
  void keep(std::size_t until) {
    out_ += text_.substr(at_, until - at_);
    at_ = until;
  }
  void mask(std::size_t until) {
    out_ += kMask;
    at_ = until;
  }

  // The first of `from` and behind it for which `is` holds, or the end.
  template <class Is>
  std::size_t find(std::size_t from, Is is) const {
    while (from < text_.size() && !is(text_[from])) ++from;
    return std::min(from, text_.size());
  }
  std::size_t behind_blanks(std::size_t from) const {
    return find(from, [](char c) { return c != ' ' && c != '\t'; });
  }
  char char_at(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  bool begins_url() const { return at_ > 0 && is_of_scheme(text_[at_ - 1]); }
  std::string_view scheme() const {
    std::size_t from = at_;
    while (from > 0 && is_of_scheme(text_[from - 1])) --from;
    return text_.substr(from, at_ - from);
  }

  void url() {
    const bool of_postgres = scheme().starts_with("postgres");
    // A connection string by itself: libpq takes blanks in it.
    const bool is_all = of_postgres && scheme().size() == at_;
    keep(at_ + 3);
    query_until_ = is_all ? text_.size() : find(at_, is_blank);
    if (char_at(at_) == '/') return;  // no host, and so no user
    if (text_.substr(at_).starts_with(kSlackHook)) {
      keep(at_ + kSlackHook.size());
      if (at_ < query_until_) mask(query_until_);
      return;
    }
    if (at_ < user_to_) return;  // it stands in what will be masked
    const auto at_sign = end_of_user(of_postgres);
    if (!at_sign) return;
    const std::size_t colon = text_.substr(0, *at_sign).find(':', at_);
    if (colon == npos) return;
    user_from_ = colon + 1;  // before it there may be more to hide
    user_to_ = *at_sign;
    query_until_ = std::max(query_until_, find(user_to_, is_blank));
  }

  // The '@' behind the user information of the URL whose host or user begins here.
  std::optional<std::size_t> end_of_user(bool of_postgres) const {
    const std::string_view url = text_.substr(0, query_until_);
    const std::size_t query = std::min(url.find('?', at_), url.size());
    const std::size_t last = url.substr(0, query).rfind('@');
    if (last != npos && last >= at_) return last;
    // None where it should be. If what is behind the colon is no port, it is a password.
    const std::size_t authority =
        find(at_, [](char c) { return c == '/' || c == '?' || c == '#' || is_blank(c); });
    const std::size_t colon = text_.substr(0, authority).find(':', at_);
    const bool in_brackets = char_at(at_) == '[';
    if (colon == npos || in_brackets) return std::nullopt;
    const std::string_view port = text_.substr(colon + 1, authority - colon - 1);
    if (std::ranges::all_of(port, is_digit) && !of_postgres) return std::nullopt;
    const std::size_t in_url = url.rfind('@');
    if (in_url != npos && in_url >= at_) return in_url;
    const std::size_t line = find(at_, [](char c) { return c == '\n' || c == '\r'; });
    const std::size_t behind = text_.substr(0, line).rfind('@');
    return behind == npos || behind < at_ ? std::nullopt : std::optional(behind);
  }

  void word() {
    const std::size_t begin = at_;
    keep(find(at_, [](char c) { return !is_word(c); }));
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (std::ranges::equal(name, std::string_view("authorization"), {}, lower)) {
      return authorization();
    }
    const bool password = ends_in_one_of(name, kPasswords);
    if (password || ends_in_one_of(name, kSecrets)) value(password);
  }

  void authorization() {
    if (char_at(at_) != ':') return;
    const std::size_t from = behind_blanks(at_ + 1);
    const std::size_t end = find(from, [](char c) { return c == '\n' || c == '\r'; });
    keep(from);
    if (from < end) mask(end);
  }

  // Behind a name: the value, if one follows.
  void value(bool password) {
    const char quote = char_at(at_);
    const bool quoted_name = quote == '"' || quote == '\'';
    const std::size_t sign = behind_blanks(at_ + (quoted_name ? 1 : 0));
    const char c = char_at(sign);
    const bool blank_before = sign > at_ && !quoted_name;
    if (quoted_name && c == ':') return json_value(sign + 1);
    if (password && c == '\'' && blank_before) return quoted(sign);
    if (quoted_name || c != '=' || (blank_before && !password)) return;
    const bool of_query = sign < query_until_;
    const std::size_t from = password && !of_query ? behind_blanks(sign + 1) : sign + 1;
    if (from >= text_.size() || (is_blank(text_[from]) && !password)) return keep(from);
    if (!of_query && text_[from] == '\'') return quoted(from);
    if (!of_query && text_[from] == '"') return quoted(from);
    keep(from);
    mask(of_query ? end_in_query(from) : end_of_unquoted(from));
  }

  void json_value(std::size_t behind_colon) {
    const std::size_t from = behind_blanks(behind_colon);
    const char quote = char_at(from);
    if (quote != '"' && quote != '\'') return keep(from);
    const std::size_t end = end_of_quoted(from);
    keep(from + 1);
    mask(end);
  }

  // The quotes go with it, so that nobody mistakes the mask for the password.
  void quoted(std::size_t from) {
    const std::size_t end = end_of_quoted(from);
    keep(from);
    mask(std::min(end + 1, text_.size()));
  }

  std::size_t end_of_quoted(std::size_t from) const {
    std::size_t at = from + 1;
    while (at < text_.size() && text_[at] != text_[from]) at += text_[at] == '\\' ? 2 : 1;
    return std::min(at, text_.size());
  }
  std::size_t end_of_unquoted(std::size_t from) const {
    std::size_t at = from;
    while (at < text_.size() && !is_blank(text_[at])) at += text_[at] == '\\' ? 2 : 1;
    return std::min(at, text_.size());
  }
  std::size_t end_in_query(std::size_t from) const {
    return std::min(text_.substr(0, query_until_).find('&', from), query_until_);
  }

  std::string_view text_;
  std::string out_;
  std::size_t at_ = 0;
  std::size_t query_until_ = 0;              // the end of the URL that is being gone over; 0: none
  std::size_t user_from_ = 0, user_to_ = 0;  // the password in it
};

}  // namespace

std::string redact_secrets(std::string_view text) {
  return Redacting(text).run();
}

}  // namespace holdfast
