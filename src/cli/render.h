#pragma once
// Helpers for the two forms of a result: aligned tables for people, and the value forms that the
// JSON contract fixes (times RFC 3339 in UTC, LSNs and system identifiers as strings, durations in
// seconds as numbers).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "cli/terminal.h"
#include "core/time.h"
#include "core/wal_position.h"

namespace holdfast::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

struct Cell {
  Cell(std::string content, Colour painted = Colour::kNone)  // NOLINT: a cell is mostly its text
      : text(std::move(content)), colour(painted) {}
  std::string text;
  Colour colour;
};

// Columns two blanks apart, a bold line of titles. Cells are made printable. A row that is shorter
// than the titles is filled with empty cells; a longer one is a bug.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add_row(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  std::string render(const Style& style) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "name:    value" lines with the values under each other.
struct NamedValue {
  std::string name, value;
};
std::string render_values(const std::vector<NamedValue>& values, const Style& style);

inline Json json_of(Timestamp time) {
  return to_rfc3339(time);
}
inline Json json_of(Lsn position) {
  return to_string(position);
}
inline Json json_of(Seconds duration) {
  return duration.count();
}
inline Json json_of_system_identifier(std::uint64_t identifier) {
  return std::to_string(identifier);
}

}  // namespace holdfast::cli
