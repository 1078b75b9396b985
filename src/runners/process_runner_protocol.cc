#include "runners/process_runner_protocol.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "runners/utf8.h"

namespace symbiont::engine_protocol {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::size_t kShownBytes = 80;  // of a bad line in an error

std::unexpected<Error> corrupt(std::string text) {
  return fail(ErrorCode::DataCorrupt, std::move(text));
}

std::string shown(std::string_view text) {
  return fmt::format("'{}{}'", printable(text, kShownBytes),
                     text.size() > kShownBytes ? "..." : "");
}

/// Deepest nesting of arrays and objects; looked at before parsing, which builds and frees trees.
std::size_t depth_of(std::string_view json) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

std::optional<std::string> text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<std::uint64_t> number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

std::unexpected<Error> bad_field(std::string_view type, std::string_view field) {
  return corrupt(fmt::format("a '{}' whose {}", type, field));
}

Result<Message> parse_ready(const Json& object) {
  const auto protocol = number_of(object, "protocol");
  if (!protocol.has_value()) return bad_field("ready", "protocol is no number");
  if (*protocol != kVersion) {
    return corrupt(
        fmt::format("a 'ready' for protocol {}; this host speaks {}", *protocol, kVersion));
  }
  return Ready{printable(text_of(object, "name").value_or(""), kMaxNameBytes),
               printable(text_of(object, "version").value_or(""), kMaxNameBytes)};
}

Result<Message> parse_token(const Json& object, std::uint64_t id) {
  auto text = text_of(object, "text");
  if (!text.has_value()) return bad_field("token", "text is no string");
  return Token{id, *std::move(text)};
}

Result<Message> parse_done(const Json& object, std::uint64_t id) {
  const std::string reason = text_of(object, "finish_reason").value_or("");
  Done done{.id = id, .finish = Finish::Stop, .usage = {}};
  if (reason == "length") {
    done.finish = Finish::Length;
  } else if (reason == "cancelled") {
    done.finish = Finish::Cancelled;
  } else if (reason != "stop") {
    return bad_field(
        "done", fmt::format("finish_reason is {}, none of stop, length, cancelled", shown(reason)));
  }
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  const auto usage = object.find("usage");
  if (usage == object.end() || !usage->is_object()) return bad_field("done", "usage is no object");
  const auto prompt = number_of(*usage, "prompt_tokens");
  const auto completion = number_of(*usage, "completion_tokens");
  if (!prompt.has_value() || *prompt > kMost || !completion.has_value() || *completion > kMost)
    return bad_field("done", "usage has no counts prompt_tokens and completion_tokens");
  done.usage.prompt_tokens = static_cast<std::uint32_t>(*prompt);
  done.usage.completion_tokens = static_cast<std::uint32_t>(*completion);
  return done;
}

Result<Message> parse_failed(const Json& object, std::uint64_t id) {
  const std::string code = text_of(object, "code").value_or("");
  if (code != "invalid_input" && code != "failed") {
    return bad_field("error",
                     fmt::format("code is {}, none of invalid_input, failed", shown(code)));
  }
  return Failed{id, code == "invalid_input",
                printable(text_of(object, "message").value_or("no message"), kMaxMessageBytes)};
}

}  // namespace

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (true) {
    const std::size_t valid = first_invalid_utf8(text);
    out += text.substr(0, valid);
    if (valid == text.size()) return out;
    out += kReplacement;
    text.remove_prefix(valid + 1);
  }
}

Result<Message> parse(std::string_view line) {
  if (depth_of(line) > kMaxDepth)
    return corrupt(fmt::format("JSON nested deeper than {}: {}", kMaxDepth, shown(line)));
  const Json object = Json::parse(replace_invalid_utf8(line), nullptr, false);
  if (!object.is_object())
    return corrupt(fmt::format("a line that is no JSON object: {}", shown(line)));
  const auto type = text_of(object, "type");
  if (!type.has_value()) return corrupt(fmt::format("an object without a type: {}", shown(line)));
  if (*type == "ready") return parse_ready(object);
  const auto id = number_of(object, "id");
  if (*type == "error") {
    // An engine that could not read a line does not know whose it was.
    const bool none = !object.contains("id") || object["id"].is_null();
    if (!id.has_value() && !none) return bad_field("error", "id is no number");
    return parse_failed(object, id.value_or(0));
  }
  if (*type != "token" && *type != "done")
    return corrupt(fmt::format("a message of the unknown type {}", shown(*type)));
  if (!id.has_value()) return bad_field(*type, "id is no number");
  return *type == "token" ? parse_token(object, *id) : parse_done(object, *id);
}

std::string execute_line(std::uint64_t id,
                         std::span<const ChatMessage> messages,
                         const ExecutionOptions& options,
                         std::uint64_t seed) {
  Json list = Json::array();
  std::string_view prompt;
  for (const ChatMessage& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
    if (message.role == "user") prompt = message.content;
  }
  Json request = {{"type", "execute"},
                  {"id", id},
                  {"messages", std::move(list)},
                  {"prompt", prompt},
                  {"options",
                   {{"max_tokens", options.max_tokens},
                    {"temperature", options.temperature},
                    {"top_p", options.top_p},
                    {"top_k", options.top_k},
                    {"min_p", options.min_p},
                    {"repeat_penalty", options.repeat_penalty},
                    {"seed", seed},
                    {"stop", options.stop},
                    {"raw", options.raw}}}};
  return request.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string cancel_line(std::uint64_t id) {
  return Json({{"type", "cancel"}, {"id", id}}).dump() + "\n";
}

std::string describe(const Message& message) {
  struct Describer {
    std::string operator()(const Ready& /*ready*/) const { return "a 'ready'"; }
    std::string operator()(const Token& token) const {
      return fmt::format("a 'token' of id {}", token.id);
    }
    std::string operator()(const Done& done) const {
      return fmt::format("a 'done' of id {}", done.id);
    }
    std::string operator()(const Failed& error) const {
      return fmt::format("an 'error' of id {} ('{}')", error.id, error.message);
    }
  };
  return std::visit(Describer{}, message);
}

}  // namespace symbiont::engine_protocol
