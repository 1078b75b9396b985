#ifndef SYMBIONT_WORKER_CHAT_TEMPLATE_H_
#define SYMBIONT_WORKER_CHAT_TEMPLATE_H_

// From messages to the text of a prompt by the model's own template. The template is hostile
// (textkit bounds it), and so are the contents: they must not become control tokens.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/messages.h"

namespace symbiont::worker {

/// Why a request or a load cannot be served; ready to be sent. The id is set by whoever sends it.
using Failure = ipc::FailureReport;
template <typename T>
using Outcome = std::expected<T, Failure>;

struct TemplateSource {
  std::string text;  ///< empty: the model has none
  std::string bos_token;
  std::string eos_token;
};

/// A part of a prompt. Only text of the template may hold control tokens.
struct PromptPiece {
  std::string text;
  bool from_template = false;
};

/// The prompt as one string, as transformers would make it. Without a template: the content of a
/// single message, or lines "role: content".
[[nodiscard]] Outcome<std::string> render_chat(const TemplateSource& source,
                                               const std::vector<ipc::ChatMessage>& messages);

/// The same prompt in pieces that keep contents apart from the template's text. The template sees a
/// placeholder for each content, so one that looks into contents or changes them may write
/// another prompt; one that mangles a placeholder is TemplateFailed.
[[nodiscard]] Outcome<std::vector<PromptPiece>> render_chat_in_pieces(
    const TemplateSource& source, const std::vector<ipc::ChatMessage>& messages);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_CHAT_TEMPLATE_H_
