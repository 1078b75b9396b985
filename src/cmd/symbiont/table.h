#ifndef SYMBIONT_CMD_SYMBIONT_TABLE_H_
#define SYMBIONT_CMD_SYMBIONT_TABLE_H_

#include <string>
#include <vector>

#include "cmd/symbiont/terminal.h"

namespace symbiont::cli {

struct Cell {
  std::string text;
  Paint paint = Paint::None;
  bool right = false;  ///< numbers stand right
};

/// Rows in columns as wide as their widest cell; the last column is not padded. Text is made
/// printable().
class Table {
 public:
  /// The head is bold. Empty: none.
  explicit Table(std::vector<std::string> head) : head_(std::move(head)) {}
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string to_string(bool colour) const;

 private:
  std::vector<std::string> head_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_TABLE_H_
