// The parts of src/cli that need no program around them.
#include <gtest/gtest.h>

#include "cli/progress_line.h"
#include "cli/render.h"
#include "cli/terminal.h"

namespace holdfast::cli {
namespace {

TEST(Table, ColumnsAlignWhateverTheAlphabet) {
  Table table({{"NAME"}, {"SIZE", Align::kRight}, {"NOTE"}});
  table.add_row({Cell("数据"), Cell("1 B"), Cell("x")});
  table.add_row({Cell("é"), Cell("10 GiB"), Cell("y")});
  table.add_row({Cell("short")});
  EXPECT_EQ(table.render(Style()),
            "NAME     SIZE  NOTE\n"
            "数据      1 B  x\n"
            "é      10 GiB  y\n"
            "short\n");
}

TEST(Table, ColoursDoNotShiftColumns) {
  Table table({{"A"}, {"B"}});
  table.add_row({Cell("x", Colour::kRed), Cell("y")});
  EXPECT_EQ(table.render(Style::coloured()),
            "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n\x1b[31mx\x1b[0m  y\n");
}

TEST(Terminal, TextCannotSteerIt) {
  EXPECT_EQ(printable("a\x1b[2Jb\nc\x7f"), "a?[2Jb?c?");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "??2J");  // CSI as one character
  EXPECT_EQ(printable("größe 数"), "größe 数");
}

TEST(Terminal, FitCutsWholeCharacters) {
  EXPECT_EQ(fit("abc", 3), "abc");
  EXPECT_EQ(fit("abcd", 3), "ab…");
  EXPECT_EQ(fit("数据库", 4), "数…");
  EXPECT_EQ(fit("abc", 0), "");
  EXPECT_EQ(display_width("\xff\xfe"), 2U);  // not UTF-8: one each, no reading beyond the end
  EXPECT_EQ(display_width("\xe6\x95"), 2U);
}

TEST(ProgressLine, HasShareRateAndTimeLeft) {
  const ProgressSnapshot half{.phase = "Reading files",
                              .note = {},
                              .done_bytes = 512U << 20U,
                              .total_bytes = 1024U << 20U,
                              .bytes_per_second = 64.0 * 1024 * 1024};
  EXPECT_EQ(progress_line(half, 200),
            "Reading files  [############------------]  50 %  512.0 MiB of 1.0 GiB  64.0 MiB/s  "
            "8.0 s left");
  EXPECT_EQ(display_width(progress_line(half, 40)), 40U);
  // On the usual terminal the end of the line was cut off: how long it still takes.
  const std::string usual = progress_line(half, 79);
  EXPECT_LE(display_width(usual), 79U);
  EXPECT_NE(usual.find(" left"), std::string::npos) << usual;
}

TEST(ProgressLine, SaysNothingThatIsNotKnown) {
  EXPECT_EQ(progress_line({.phase = "Starting", .note = "waiting"}, 80), "Starting  waiting");
  ProgressSnapshot over{.phase = "P", .note = {}, .done_bytes = 30, .total_bytes = 20};
  EXPECT_EQ(progress_line(over, 80), "P  [########################] 100 %  30 B of 20 B");
}

}  // namespace
}  // namespace holdfast::cli
