#include "cli/render.h"

#include <algorithm>

namespace holdfast::cli {
namespace {

std::string padded(const Cell& cell, std::size_t width, Align align, const Style& style) {
  const std::string blanks(width - std::min(width, display_width(cell.text)), ' ');
  const std::string text = style.paint(cell.colour, cell.text);
  return align == Align::kRight ? blanks + text : text + blanks;
}

std::string without_trailing_blanks(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

void Table::add_row(std::vector<Cell> cells) {
  HF_INVARIANT(cells.size() <= columns_.size());
  for (Cell& cell : cells) cell.text = printable(cell.text);
  cells.resize(columns_.size(), Cell(""));
  rows_.push_back(std::move(cells));
}

std::string Table::render(const Style& style) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i].text));
    widths.push_back(width);
  }
  const auto render_row = [&](const std::vector<Cell>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) line += "  ";
      line += padded(cells[i], widths[i], columns_[i].align, style);
    }
    return without_trailing_blanks(std::move(line));
  };
  std::vector<Cell> titles;
  titles.reserve(columns_.size());
  for (const Column& column : columns_) titles.emplace_back(column.title, Colour::kBold);
  std::string out = render_row(titles);
  for (const auto& row : rows_) out += render_row(row);
  return out;
}

std::string render_values(const std::vector<NamedValue>& values, const Style& style) {
  std::size_t width = 0;
  for (const NamedValue& value : values) width = std::max(width, display_width(value.name) + 1);
  std::string out;
  for (const NamedValue& value : values) {
    const Cell name(value.name + ":", Colour::kBold);
    out += without_trailing_blanks(padded(name, width, Align::kLeft, style) + "  " +
                                   printable(value.value));
  }
  return out;
}

}  // namespace holdfast::cli
