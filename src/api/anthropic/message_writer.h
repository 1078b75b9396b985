#ifndef SYMBIONT_API_ANTHROPIC_MESSAGE_WRITER_H_
#define SYMBIONT_API_ANTHROPIC_MESSAGE_WRITER_H_

#include <string>
#include <string_view>
#include <vector>

#include "api/answer.h"
#include "api/json.h"
#include "api/tools.h"

namespace symbiont::api::anthropic {

/// One message, whole or as events.
class MessageWriter final : public AnswerWriter {
 public:
  MessageWriter(std::string model, std::string request_id, bool stream, ToolRequest tools);

  void on_start(const std::vector<std::string>& execution_ids) override;
  void on_text(std::size_t choice, const TextPiece& piece, Output& out) override;
  void on_end(std::size_t choice, const ExecutionResult& result, Output& out) override;
  void finish(Output& out) override;
  void on_error(const ApiError& error, Output& out) override;

 private:
  [[nodiscard]] Json message() const;
  void start_message(Output& out);
  void write_text(std::string_view text, Output& out);
  void write_call(const Json& block, Output& out);
  [[nodiscard]] Json call_block(const ToolCall& call) const;

  std::string model_;
  std::string request_id_;
  bool stream_;
  ToolRequest tools_;
  std::string id_;
  std::string call_id_;
  std::string held_;  // text that may turn out to be a call
  bool has_started_ = false;
  bool has_block_ = false;
};

}  // namespace symbiont::api::anthropic

#endif  // SYMBIONT_API_ANTHROPIC_MESSAGE_WRITER_H_
