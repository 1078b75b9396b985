#ifndef SYMBIONT_API_ANSWER_H_
#define SYMBIONT_API_ANSWER_H_

// The seam between an API and the rest: a handler reads a request and gives back either a Response
// or a Plan. A Plan says what to execute, and how what comes of it is written. Adding an API means:
// a reader of its requests, an AnswerWriter, an ErrorRenderer, and rows in routes.cc.

#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "symbiont/engine.h"

#include "api/api_error.h"
#include "api/http.h"

namespace symbiont::api {

/// Where an AnswerWriter leaves what is to be sent. A stream is started by the first write().
class Output {
 public:
  /// Bytes of a stream.
  void write(std::string_view bytes) {
    is_stream_ = true;
    bytes_.append(bytes);
  }
  /// The whole answer, instead of a stream.
  void respond(Response response) { response_ = std::move(response); }

  [[nodiscard]] bool is_stream() const { return is_stream_; }
  [[nodiscard]] std::string& bytes() { return bytes_; }
  [[nodiscard]] Response& response() { return response_; }

 private:
  bool is_stream_ = false;
  std::string bytes_;
  Response response_;
};

/// Writes what the executions of one request say, in the words of one API. All calls come from one
/// thread, in this order: any number of on_text and one on_end for each choice, then finish(); or
/// on_error(), which ends it at any point after the stream has started.
class AnswerWriter {
 public:
  AnswerWriter() = default;
  AnswerWriter(const AnswerWriter&) = delete;
  AnswerWriter& operator=(const AnswerWriter&) = delete;
  virtual ~AnswerWriter() = default;

  /// The ids of the executions, one a choice, once they are known.
  virtual void on_start(const std::vector<std::string>& execution_ids) = 0;
  /// New text of a choice; pieces that wait together come as one. Never called unless the plan
  /// streams.
  virtual void on_text(std::size_t choice, const TextPiece& piece, Output& out) = 0;
  virtual void on_end(std::size_t choice, const ExecutionResult& result, Output& out) = 0;
  virtual void finish(Output& out) = 0;
  /// An execution failed after the stream was started; the other ones are cancelled. Before that
  /// the caller gets the response of the route's ErrorRenderer instead.
  virtual void on_error(const ApiError& error, Output& out) = 0;
};

/// What to execute. `executions` holds one request a choice, 1 .. kMaxChoices.
struct Plan {
  std::vector<EngineRequest> executions;
  std::unique_ptr<AnswerWriter> writer;
  bool streams = false;
  std::string content_type;  ///< of the stream
  FieldNames fields{};
};
inline constexpr std::size_t kMaxChoices = 8;

/// Something that takes a while: `work` is called on another thread, and what it gives back on the
/// loop's.
struct Later {
  using Then = std::function<std::expected<Response, ApiError>()>;
  std::function<Then()> work;
};

using Reply = std::variant<Response, Plan, Later>;
using Handled = std::expected<Reply, ApiError>;

}  // namespace symbiont::api

#endif  // SYMBIONT_API_ANSWER_H_
