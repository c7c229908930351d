#pragma once
// JSON that somebody else wrote: records of a repository, notes in the state directory.
//
// Guarantees: what parse_json() returns is nested no deeper than kMaxJsonDepth, so that whatever
//   walks through it by recursion (copies, comparisons and dump() do) stays within any stack. Text
//   that is nested deeper is refused before anything of it is built.
// Errors: nlohmann::json::exception, as of text that is no JSON; the caller knows what it read.
// Threads: any; pure. Time: one more pass over the text.

#include <cstddef>
#include <string_view>

#include <nlohmann/json.hpp>

namespace holdfast {

// Our own records use five.
inline constexpr std::size_t kMaxJsonDepth = 64;

class JsonTooDeep final : public nlohmann::json::exception {
 public:
  JsonTooDeep() : exception(kId, "the JSON is nested too deeply") {}

 private:
  static constexpr int kId = 599;  // none of the library's own
};

// Counts every opening bracket that stands outside of strings, in text that need not be JSON.
void require_json_depth(std::string_view text);

template <class Json>
Json parse_json(std::string_view text) {
  require_json_depth(text);
  return Json::parse(text);
}

}  // namespace holdfast
