#include "api/embedding_fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "api/request_fields.h"

namespace symbiont::api {
namespace {

bool holds_tokens(const Json& value) {
  return value.is_number() || (value.is_array() && std::ranges::any_of(value, holds_tokens));
}

}  // namespace

std::vector<std::string> read_inputs(Fields& fields, std::string_view name, bool or_many) {
  std::vector<std::string> inputs;
  const Json* value = fields.require(name);
  if (value == nullptr) return inputs;
  if (or_many && holds_tokens(*value)) {
    fields.fail(name, "token ids are not supported; send text", "unsupported_value");
    return inputs;
  }
  const Json list = or_many && value->is_array() ? *value : Json::array({*value});
  if (!std::ranges::all_of(list, [](const Json& item) { return item.is_string(); })) {
    fields.fail(name, or_many ? "expected a string or an array of strings" : "expected a string",
                "invalid_type");
    return inputs;
  }
  if (list.empty() || list.size() > kMaxEmbeddingInputs) {
    fields.fail(name,
                fmt::format("{} texts; 1 .. {} are accepted", list.size(), kMaxEmbeddingInputs));
    return inputs;
  }
  for (const Json& item : list) {
    inputs.push_back(item.get<std::string>());
    const std::size_t bytes = inputs.back().size();
    if (bytes == 0 || bytes > kMaxMessageBytes) {
      fields.fail(
          name, fmt::format("a text has {} bytes; 1 .. {} are accepted", bytes, kMaxMessageBytes));
    }
  }
  return inputs;
}

Json to_json(std::span<const float> values) {
  constexpr std::size_t kMaxDigits = 32;
  Json list = Json::array();
  for (const float value : values) {
    std::array<char, kMaxDigits> text{};
    const char* const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    double shortest = 0;
    std::from_chars(text.data(), end, shortest);
    list.push_back(shortest);
  }
  return list;
}

EngineRequest embedding_request(const Gateway& gateway,
                                const Request& request,
                                std::string model_id,
                                std::vector<std::string> inputs) {
  EngineRequest execution = start_engine_request(gateway, request, std::move(model_id));
  execution.options.embed = true;
  execution.options.max_tokens = 1;  // nothing is answered: the queue is not to reckon with it
  for (std::string& input : inputs)
    execution.messages.push_back({"user", std::move(input)});
  return execution;
}

}  // namespace symbiont::api
