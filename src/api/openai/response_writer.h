#ifndef SYMBIONT_API_OPENAI_RESPONSE_WRITER_H_
#define SYMBIONT_API_OPENAI_RESPONSE_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer.h"
#include "api/json.h"
#include "api/tools.h"

namespace symbiont::api::openai {

/// One response with one message or function call, whole or as typed, numbered events.
class ResponseWriter final : public AnswerWriter {
 public:
  /// `echo`: the fields of a response that say how it was asked for.
  ResponseWriter(Json echo, bool stream, ToolRequest tools);

  void on_start(const std::vector<std::string>& execution_ids) override;
  void on_text(std::size_t choice, const TextPiece& piece, Output& out) override;
  void on_end(std::size_t choice, const ExecutionResult& result, Output& out) override;
  void finish(Output& out) override;
  void on_error(const ApiError& error, Output& out) override;

 private:
  [[nodiscard]] Json response(std::string_view status) const;
  [[nodiscard]] Json message(std::string_view status, Json content) const;
  [[nodiscard]] Json call_item(const ToolCall& call) const;
  void write_event(std::string_view type, const Json& fields, Output& out);
  /// An event about the only part of the only message.
  void write_part_event(std::string_view type, const Json& fields, Output& out);
  void start_response(Output& out);
  void write_text(std::string_view text, Output& out);
  void write_call(const Json& item, Output& out);
  void end_message(const Json& message, std::string_view text, Output& out);

  Json echo_;
  bool stream_;
  ToolRequest tools_;
  std::string id_;
  std::string message_id_;
  std::string call_id_;
  std::string call_item_id_;
  std::int64_t created_at_ = 0;
  std::int64_t sequence_number_ = 0;
  bool has_started_ = false;
  bool has_message_ = false;
  std::string text_;  // so far
  std::string held_;  // the part of it that may turn out to be a call
};

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_RESPONSE_WRITER_H_
