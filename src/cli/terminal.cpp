#include "cli/terminal.h"

#include <array>
#include <cstdint>
#include <cstdlib>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

constexpr std::size_t kDefaultWidth = 80;

struct Range {
  std::uint32_t first, last;
};

// Source: Unicode's EastAsianWidth (W and F) and combining marks, by block: near enough for tables.
constexpr std::array<Range, 9> kWide{{{0x1100, 0x115f},
                                      {0x2e80, 0xa4cf},
                                      {0xac00, 0xd7a3},
                                      {0xf900, 0xfaff},
                                      {0xfe30, 0xfe6f},
                                      {0xff00, 0xff60},
                                      {0xffe0, 0xffe6},
                                      {0x1f300, 0x1faff},
                                      {0x20000, 0x3fffd}}};
constexpr std::array<Range, 5> kZeroWidth{
    {{0x300, 0x36f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}}};

template <std::size_t N>
bool is_in(std::uint32_t point, const std::array<Range, N>& ranges) {
  for (const Range& range : ranges) {
    if (point >= range.first && point <= range.last) return true;
  }
  return false;
}

// Takes one character off the front; a byte that is not UTF-8 is taken alone.
struct Character {
  std::size_t bytes;
  std::size_t width;
};
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) < 0x80 ? 1 : byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (length == 1 || length > text.size()) return {1, 1};
  std::uint32_t point = byte(0) & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {1, 1};
    point = (point << 6U) | (byte(i) & 0x3fU);
  }
  return {length, is_in(point, kZeroWidth) ? 0U : is_in(point, kWide) ? 2U : 1U};
}

std::string_view code_of(Colour colour) {
  switch (colour) {
    case Colour::kBold:
      return "1";
    case Colour::kDim:
      return "2";
    case Colour::kRed:
      return "31";
    case Colour::kGreen:
      return "32";
    case Colour::kYellow:
      return "33";
    case Colour::kNone:
      break;
  }
  return "0";
}

}  // namespace

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

Style Style::of(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  Style style;
  style.colours_ = is_terminal(fd) && (no_color == nullptr || *no_color == '\0') &&
                   term != nullptr && std::string_view(term) != "dumb";
  return style;
}

Style Style::coloured() {
  Style style;
  style.colours_ = true;
  return style;
}

std::string Style::paint(Colour colour, std::string_view text) const {
  if (!colours_ || colour == Colour::kNone || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code_of(colour), text);
}

std::size_t terminal_width(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kDefaultWidth;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Character character = first_character(text);
    width += character.width;
    text.remove_prefix(character.bytes);
  }
  return width;
}

std::string fit(std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  std::string out;
  std::size_t width = 0;
  while (!text.empty()) {
    const Character character = first_character(text);
    if (width + character.width + 1 > columns) break;
    width += character.width;
    out += text.substr(0, character.bytes);
    text.remove_prefix(character.bytes);
  }
  return columns == 0 ? out : out + "…";
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    // U+0080 to U+009F are control characters too; as UTF-8 they are C2 80 to C2 9F.
    const bool c1 = byte == 0xc2 && i + 1 < out.size() &&
                    static_cast<unsigned char>(out[i + 1]) >= 0x80 &&
                    static_cast<unsigned char>(out[i + 1]) < 0xa0;
    if (c1) out[++i] = '?';
    if (byte < 0x20 || byte == 0x7f || c1) out[c1 ? i - 1 : i] = '?';
  }
  return out;
}

}  // namespace holdfast::cli
