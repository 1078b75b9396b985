#include "cmd/symbiont/table.h"

#include <algorithm>

namespace symbiont::cli {
namespace {

void append_row(std::string& out,
                const std::vector<Cell>& row,
                const std::vector<std::size_t>& widths,
                bool colour) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::string text = printable(row[i].text);
    const std::size_t width = display_width(text);
    const std::string blanks(widths[i] > width ? widths[i] - width : 0, ' ');
    if (i != 0) line += "  ";
    if (row[i].right) line += blanks;
    line += painted(row[i].paint, text, colour);
    if (!row[i].right && i + 1 != row.size()) line += blanks;
  }
  while (line.ends_with(' '))
    line.pop_back();
  out += line + "\n";
}

}  // namespace

std::string Table::to_string(bool colour) const {
  std::vector<std::vector<Cell>> all;
  if (!head_.empty()) {
    std::vector<Cell> head;
    for (std::size_t i = 0; i < head_.size(); ++i) {
      const bool right = !rows_.empty() && rows_.front()[i].right;
      head.push_back({head_[i], Paint::Bold, right});
    }
    all.push_back(std::move(head));
  }
  all.insert(all.end(), rows_.begin(), rows_.end());
  std::vector<std::size_t> widths;
  for (const auto& row : all) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(printable(row[i].text)));
  }
  std::string out;
  for (const auto& row : all)
    append_row(out, row, widths, colour);
  return out;
}

}  // namespace symbiont::cli
