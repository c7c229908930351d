#include "repository/json_text.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using Json = nlohmann::json;

std::string nested(std::size_t depth, char open = '[', char close = ']') {
  return std::string(depth, open) + std::string(depth, close);
}

TEST(JsonText, IsReadUpToItsDepthAndNoDeeper) {
  EXPECT_NO_THROW(parse_json<Json>(nested(kMaxJsonDepth)));
  EXPECT_THROW(parse_json<Json>(nested(kMaxJsonDepth + 1)), JsonTooDeep);
  EXPECT_THROW(parse_json<Json>(nested(1'000'000)), nlohmann::json::exception);
  std::string objects, ends;
  for (std::size_t i = 0; i <= kMaxJsonDepth; ++i) {
    objects += "{\"a\":";
    ends += "}";
  }
  EXPECT_THROW(parse_json<Json>(objects + "1" + ends), JsonTooDeep);
}

TEST(JsonText, BracketsBesideOneAnotherAndInStringsDoNotCount) {
  std::string many = "[0";
  for (int i = 0; i < 1000; ++i) many += ",[],{}";
  EXPECT_EQ(parse_json<Json>(many + "]").size(), 2001U);
  const std::string text =
      Json{{"a", std::string(1000, '[') + "\"\\" + std::string(1000, '{')}}.dump();
  EXPECT_EQ(parse_json<Json>(text).at("a").get<std::string>().size(), 2002U);
  // A quote that is escaped does not end the string.
  EXPECT_THROW(parse_json<Json>("[\"\\\\\"," + nested(kMaxJsonDepth) + "]"), JsonTooDeep);
}

TEST(JsonText, WhatIsNoJsonIsRefusedAsBefore) {
  for (const char* const bad : {"", "{", "]]]]", "\"", "\"\\", "[1,"}) {
    EXPECT_THROW(parse_json<Json>(bad), nlohmann::json::parse_error) << bad;
  }
}

}  // namespace
}  // namespace holdfast
