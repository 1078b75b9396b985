#include "api/request_reader.h"

#include <utility>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace symbiont::api {
namespace {

namespace http = boost::beast::http;

Method method_of(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return Method::Get;
    case http::verb::post:
      return Method::Post;
    case http::verb::delete_:
      return Method::Delete;
    case http::verb::options:
      return Method::Options;
    default:
      return Method::Other;
  }
}

ApiError error_of(const boost::system::error_code& code, std::uint64_t max_body_bytes) {
  if (code == http::error::body_limit) {
    return {.kind = ErrorKind::TooLarge,
            .message = "The body is larger than " + std::to_string(max_body_bytes) + " bytes.",
            .code = "request_too_large"};
  }
  if (code == http::error::header_limit) {
    return {.kind = ErrorKind::HeadTooLarge,
            .message = "The head of the request is larger than " + std::to_string(kMaxHeadBytes) +
                       " bytes.",
            .code = "headers_too_large"};
  }
  return {.kind = ErrorKind::InvalidRequest,
          .message = "This is not HTTP/1: " + code.message() + ".",
          .code = "bad_http"};
}

}  // namespace

struct RequestReader::Parser {
  http::request_parser<http::string_body> http;
  std::uint64_t max_body_bytes = 0;
};

RequestReader::RequestReader(std::uint64_t max_body_bytes) : parser_(std::make_unique<Parser>()) {
  parser_->max_body_bytes = max_body_bytes;
  parser_->http.header_limit(static_cast<std::uint32_t>(kMaxHeadBytes));
  parser_->http.body_limit(max_body_bytes);
}

RequestReader::~RequestReader() = default;

std::size_t RequestReader::feed(std::string_view bytes) {
  if (error_.has_value() || bytes.empty()) return 0;
  parser_->http.eager(has_head());
  boost::system::error_code code;
  const std::size_t used =
      parser_->http.put(boost::asio::const_buffer(bytes.data(), bytes.size()), code);
  if (code && code != http::error::need_more) error_ = error_of(code, parser_->max_body_bytes);
  return used;
}

bool RequestReader::has_head() const {
  return parser_->http.is_header_done();
}

bool RequestReader::is_done() const {
  return parser_->http.is_done();
}

std::expected<Request, ApiError> RequestReader::take_head() {
  const auto& message = parser_->http.get();
  Request request;
  request.method = method_of(message.method());
  const std::string target(message.target());
  if (!target.starts_with('/')) {
    return std::unexpected(ApiError{.kind = ErrorKind::InvalidRequest,
                                    .message = "The target of a request has to be a path.",
                                    .code = "bad_http"});
  }
  const std::size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != std::string::npos) request.query = target.substr(mark + 1);
  for (const auto& field : message) {
    request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  return request;
}

std::string RequestReader::take_body() {
  return std::move(parser_->http.get().body());
}

bool RequestReader::keeps_alive() const {
  return parser_->http.get().keep_alive();
}

bool RequestReader::is_http_1_0() const {
  return parser_->http.get().version() < 11;
}

bool RequestReader::expects_continue() const {
  const auto value = parser_->http.get()[http::field::expect];
  return equals_ignoring_case({value.data(), value.size()}, "100-continue");
}

}  // namespace symbiont::api
