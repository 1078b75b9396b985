#ifndef SYMBIONT_API_OPENAI_ANSWER_WRITER_H_
#define SYMBIONT_API_OPENAI_ANSWER_WRITER_H_

// What chat and text completions have in common when they answer.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer.h"
#include "api/json.h"

namespace symbiont::api::openai {

struct AnswerFormat {
  std::string id_prefix;     ///< "chatcmpl-"
  std::string object;        ///< "chat.completion"
  std::string chunk_object;  ///< "chat.completion.chunk"
  std::string model;
  std::size_t choices = 1;
  bool stream = false;
  bool include_usage = false;
};

/// Collects choices into one object, or streams them as events. What a choice looks like is the
/// subclass's.
class CompletionWriter : public AnswerWriter {
 public:
  explicit CompletionWriter(AnswerFormat format);

  void on_start(const std::vector<std::string>& execution_ids) override;
  void on_text(std::size_t choice, const TextPiece& piece, Output& out) override;
  void on_end(std::size_t choice, const ExecutionResult& result, Output& out) override;
  void finish(Output& out) override;
  void on_error(const ApiError& error, Output& out) override;

 protected:
  /// A choice of a whole answer, without index.
  [[nodiscard]] virtual Json whole_choice(const ExecutionResult& result) const = 0;
  /// A choice of a chunk, without index and finish_reason. `is_first`: of this choice.
  [[nodiscard]] virtual Json text_choice(std::string_view text, bool is_first) const = 0;
  /// The last choice of a stream, without index, for what was held back. `is_first` as above.
  [[nodiscard]] virtual Json last_choice(const ExecutionResult& /*result*/, bool is_first) const {
    return text_choice("", is_first);
  }
  /// Of some tokens of a choice; null when there are none. `offset`: bytes of its text before them.
  [[nodiscard]] virtual Json logprobs(std::span<const TokenLogprobs> tokens,
                                      std::size_t offset) const = 0;
  [[nodiscard]] virtual const char* finish_reason(const ExecutionResult& result) const;

  void write_chunk(std::size_t choice, const Json& delta, const char* finish_reason, Output& out);
  /// Whether a choice's first chunk is out; from now on it is.
  [[nodiscard]] bool start(std::size_t choice);

 private:
  /// Those of a choice that are not out yet.
  [[nodiscard]] Json next_logprobs(std::size_t choice, std::span<const TokenLogprobs> tokens);
  [[nodiscard]] Json head(const std::string& object) const;
  [[nodiscard]] Json usage() const;

  AnswerFormat format_;
  std::string id_;
  std::string chunk_head_;  // what all chunks begin with
  std::int64_t created_ = 0;
  std::vector<bool> started_;
  std::vector<std::size_t> said_tokens_;  // with logprobs, of each choice
  std::vector<std::size_t> said_bytes_;   // theirs
  std::vector<Json> choices_;             // whole ones, by index
  TokenUsage usage_;
};

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_ANSWER_WRITER_H_
