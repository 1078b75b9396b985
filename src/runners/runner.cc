#include "symbiont/runner.h"

#include <utility>
#include <vector>

#include "base/result.h"
#include "runners/validate.h"

namespace symbiont {

SlmRunner::Outcome SlmRunner::execute(std::string_view prompt,
                                      const ExecutionOptions& options,
                                      const TokenSink& sink,
                                      std::stop_token stop_token) {
  SYMBIONT_TRY_STATUS(validate_text("prompt", prompt));
  std::vector<ChatMessage> messages;
  if (!options.system_prompt.empty()) {
    SYMBIONT_TRY_STATUS(validate_text("system_prompt", options.system_prompt));
    messages.push_back({"system", options.system_prompt});
  }
  messages.push_back({"user", std::string(prompt)});
  if (options.raw && messages.size() == 2) {  // no template: one text
    messages = {{"user", options.system_prompt + std::string(prompt)}};
  }
  return execute_chat(messages, options, sink, std::move(stop_token));
}

}  // namespace symbiont
