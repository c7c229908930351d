#pragma once
// What is known about stdout and stderr: terminal or not, colours, width. And text that is safe to
// print: names come out of repositories and servers, and must not steer the terminal.

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::cli {

enum class Colour { kNone, kBold, kDim, kRed, kGreen, kYellow };

// Paints where colours are on: on a terminal, without NO_COLOR and TERM=dumb.
class Style {
 public:
  Style() = default;  // no colours
  static Style of(int fd);
  static Style coloured();
  std::string paint(Colour colour, std::string_view text) const;

 private:
  bool colours_ = false;
};

bool is_terminal(int fd);
std::size_t terminal_width(int fd);  // 80 where it is not known

// Columns that the UTF-8 text takes: 2 for East Asian wide characters and emoji, 0 for combining
// marks. A byte that is not UTF-8 counts as one.
std::size_t display_width(std::string_view text);
// At most `columns` wide, ending in "…" when something was cut.
std::string fit(std::string_view text, std::size_t columns);
// Control characters, line ends among them, become '?'.
std::string printable(std::string_view text);

}  // namespace holdfast::cli
