#ifndef SYMBIONT_API_OLLAMA_ANSWER_WRITER_H_
#define SYMBIONT_API_OLLAMA_ANSWER_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer.h"
#include "api/json.h"
#include "api/tools.h"

namespace symbiont::api::ollama {

inline constexpr std::string_view kLines = "application/x-ndjson";

/// How this API says durations.
[[nodiscard]] std::int64_t nanoseconds(double milliseconds);

/// Where the text of an answer stands.
enum class TextPlace : std::uint8_t { Message, Response };

/// One object, or one a piece of text and a last one, each on a line of its own.
class AnswerLines final : public AnswerWriter {
 public:
  /// `model` as the request names it.
  AnswerLines(std::string model, TextPlace place, bool stream, ToolRequest tools = {});

  void on_start(const std::vector<std::string>& execution_ids) override;
  void on_text(std::size_t choice, const TextPiece& piece, Output& out) override;
  void on_end(std::size_t choice, const ExecutionResult& result, Output& out) override;
  void finish(Output& out) override;
  void on_error(const ApiError& error, Output& out) override;

 private:
  [[nodiscard]] Json object(std::string_view text) const;

  std::string model_;
  TextPlace place_;
  bool stream_;
  ToolRequest tools_;
  std::string held_;  // text that may turn out to be a call
};

}  // namespace symbiont::api::ollama

#endif  // SYMBIONT_API_OLLAMA_ANSWER_WRITER_H_
