#include "api/openai/embeddings.h"

#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "api/embedding_fields.h"
#include "api/openai/errors.h"
#include "api/request_fields.h"
#include "base/result.h"
#include "base/strings.h"

namespace symbiont::api::openai {
namespace {

constexpr std::uint32_t kMaxDimensions = 65'536;

/// The floats as they lie in memory, which is how this API wants them.
std::string base64(std::span<const float> values) {
  static_assert(std::endian::native == std::endian::little);
  const auto bytes = std::as_bytes(values);
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and a NUL
  const int written = ::EVP_EncodeBlock(
      reinterpret_cast<unsigned char*>(text.data()),         // NOLINT: OpenSSL's interface
      reinterpret_cast<const unsigned char*>(bytes.data()),  // NOLINT: as above
      static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(written));
  return text;
}

struct Format {
  bool is_base64 = false;
  std::optional<std::uint32_t> dimensions;
};

class ListWriter final : public EmbeddingWriter {
 public:
  ListWriter(std::string model, Format format) : model_(std::move(model)), format_(format) {}

  void on_end(std::size_t /*choice*/, const ExecutionResult& result, Output& out) override {
    Json data = Json::array();
    for (const std::vector<float>& values : result.embeddings) {
      // How many there are is known to the model only: not before it has made them.
      if (format_.dimensions && *format_.dimensions != values.size())
        return out.respond(render_error(wrong_dimensions(values.size()), {}));
      data.push_back({{"object", "embedding"},
                      {"index", data.size()},
                      {"embedding", format_.is_base64 ? Json(base64(values)) : to_json(values)}});
    }
    const std::uint32_t tokens = result.metadata.usage.prompt_tokens;
    out.respond({.body = dump({{"object", "list"},
                               {"data", std::move(data)},
                               {"model", model_},
                               {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}})});
  }

 private:
  static ApiError wrong_dimensions(std::size_t size) {
    return {.kind = ErrorKind::InvalidRequest,
            .message = fmt::format("dimensions: this model's embeddings have {}", size),
            .param = "dimensions",
            .code = "invalid_value"};
  }

  std::string model_;
  Format format_;
};

Format read_format(Fields& fields) {
  Format format;
  std::string encoding = "float";
  fields.get("encoding_format", encoding, kMaxTagLength);
  format.is_base64 = encoding == "base64";
  if (!format.is_base64 && encoding != "float") {
    fields.fail("encoding_format",
                fmt::format("{} is none of float, base64", symbiont::quoted(encoding)));
  }
  fields.get("dimensions", format.dimensions, Range<std::uint32_t>{1, kMaxDimensions});
  return format;
}

}  // namespace

Handled create_embeddings(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  const std::string model = read_model(fields);
  std::vector<std::string> inputs = read_inputs(fields, "input", /*or_many=*/true);
  const Format format = read_format(fields);
  std::string user;  // the caller's own tag: by its definition without effect on the answer
  fields.get("user", user, kMaxTagLength);
  SYMBIONT_TRY_STATUS(fields.finish());

  Plan plan;
  plan.executions.push_back(embedding_request(gateway, request, model, std::move(inputs)));
  plan.writer = std::make_unique<ListWriter>(model, format);
  return plan;
}

}  // namespace symbiont::api::openai
