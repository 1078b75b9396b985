#include "worker/chat_template.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "worker/textkit/textkit.h"

namespace symbiont::worker {
namespace {

constexpr std::uint64_t kFuel = 2'000'000;  // a long chat of 1024 messages takes about a tenth
constexpr std::size_t kMaxRenderedBytes = 8U << 20U;
// Private-use characters that no template has a reason to write.
constexpr std::string_view kOpen = "\xEF\xA3\xB0";   // U+F8F0
constexpr std::string_view kClose = "\xEF\xA3\xB1";  // U+F8F1

const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string context_json(const TemplateSource& source,
                         const std::vector<ipc::ChatMessage>& messages) {
  std::string out = R"({"messages":[)";
  for (const ipc::ChatMessage& message : messages) {
    if (out.back() != '[') out += ',';
    out += R"({"role":)";
    append_json(out, message.role);
    out += R"(,"content":)";
    append_json(out, message.content);
    out += '}';
  }
  out += R"(],"add_generation_prompt":true,"tools":null,"documents":null,"bos_token":)";
  append_json(out, source.bos_token);
  out += R"(,"eos_token":)";
  append_json(out, source.eos_token);
  out += '}';
  return out;
}

Failure failure_of(std::int32_t status, std::string text) {
  switch (status) {
    case SYMBIONT_TEXTKIT_CONTEXT_INVALID:
      return {.kind = ipc::fb::FailureKind::InvalidRequest,
              .message = fmt::format("messages: {}", text)};
    case SYMBIONT_TEXTKIT_RAISED:
      return {.kind = ipc::fb::FailureKind::TemplateFailed,
              .message = fmt::format("the model's chat template refuses these messages: {}", text)};
    case SYMBIONT_TEXTKIT_OUT_OF_FUEL:
      return {.kind = ipc::fb::FailureKind::TemplateFailed,
              .message = "the model's chat template takes too many steps",
              .limit = kFuel};
    case SYMBIONT_TEXTKIT_OUTPUT_TOO_LARGE:
      return {.kind = ipc::fb::FailureKind::TemplateFailed,
              .message = "the model's chat template writes too much",
              .limit = kMaxRenderedBytes};
    default:
      return {.kind = ipc::fb::FailureKind::TemplateFailed,
              .message = fmt::format("the model's chat template: {}", text)};
  }
}

Outcome<std::string> render(const TemplateSource& source,
                            const std::vector<ipc::ChatMessage>& messages) {
  const std::string context = context_json(source, messages);
  std::uint8_t* data = nullptr;
  std::size_t size = 0;
  const std::int32_t status =
      textkit_render(bytes_of(source.text), source.text.size(), bytes_of(context), context.size(),
                     kFuel, kMaxRenderedBytes, &data, &size);
  const auto release = [size](std::uint8_t* bytes) { textkit_free(bytes, size); };
  const std::unique_ptr<std::uint8_t, decltype(release)> owned(data, release);
  std::string text(reinterpret_cast<const char*>(data), size);
  if (status != SYMBIONT_TEXTKIT_OK) {
    return std::unexpected(failure_of(status, std::move(text)));
  }
  return text;
}

std::string placeholder(std::size_t index) {
  return fmt::format("{}{}{}", kOpen, index, kClose);
}

/// The index in a placeholder at the front of `text`, and its length.
std::optional<std::pair<std::size_t, std::size_t>> read_placeholder(std::string_view text,
                                                                    std::size_t count) {
  std::size_t at = kOpen.size();
  std::size_t index = 0;
  const std::size_t first_digit = at;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9' && at - first_digit < 6) {
    index = (index * 10) + static_cast<std::size_t>(text[at] - '0');
    ++at;
  }
  if (at == first_digit || !text.substr(at).starts_with(kClose) || index >= count) return {};
  return std::pair(index, at + kClose.size());
}

std::vector<PromptPiece> without_template(const std::vector<ipc::ChatMessage>& messages) {
  if (messages.size() == 1) return {{.text = messages.front().content}};
  std::vector<PromptPiece> pieces;
  pieces.reserve(messages.size() + 1);
  for (const ipc::ChatMessage& message : messages) {
    pieces.push_back({.text = fmt::format("{}: {}\n", message.role, message.content)});
  }
  pieces.push_back({.text = "assistant:"});
  return pieces;
}

}  // namespace

Outcome<std::string> render_chat(const TemplateSource& source,
                                 const std::vector<ipc::ChatMessage>& messages) {
  if (!source.text.empty()) return render(source, messages);
  std::string text;
  for (const PromptPiece& piece : without_template(messages))
    text += piece.text;
  return text;
}

Outcome<std::vector<PromptPiece>> render_chat_in_pieces(
    const TemplateSource& source, const std::vector<ipc::ChatMessage>& messages) {
  if (source.text.empty()) return without_template(messages);
  std::vector<ipc::ChatMessage> marked = messages;
  for (std::size_t i = 0; i < marked.size(); ++i)
    marked[i].content = placeholder(i);
  auto rendered = render(source, marked);
  if (!rendered.has_value()) return std::unexpected(std::move(rendered).error());

  std::vector<PromptPiece> pieces;
  std::string_view rest = *rendered;
  while (!rest.empty()) {
    const std::size_t at = std::min(rest.find(kOpen), rest.size());
    const std::string_view literal = rest.substr(0, at);
    rest.remove_prefix(at);
    const auto mark = read_placeholder(rest, messages.size());
    if (literal.contains(kClose) || (!rest.empty() && !mark)) {
      return std::unexpected(
          Failure{.kind = ipc::fb::FailureKind::TemplateFailed,
                  .message = "a message holds the model's control text, and the model's chat "
                             "template changes contents so that it cannot be kept apart"});
    }
    if (!literal.empty()) pieces.push_back({.text = std::string(literal), .from_template = true});
    if (!mark) break;
    pieces.push_back({.text = messages[mark->first].content});
    rest.remove_prefix(mark->second);
  }
  return pieces;
}

}  // namespace symbiont::worker
