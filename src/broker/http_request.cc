#include "broker/http_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::broker {
namespace {

using Header = std::pair<std::string, std::string>;

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint64_t kMaxContentLength = std::uint64_t{1} << 62U;

std::unexpected<Error> malformed(std::string text) {
  return fail(ErrorCode::InvalidArgument, std::move(text));
}

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").contains(c);
  });
}
bool is_visible(char c) {
  return c > 0x20 && c < 0x7f;
}
// Beside those that a head is made with.
bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f;
}

std::string lowercase(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// Cuts off the part before `separator`; all of it where there is none.
std::string_view next_part(std::string_view& rest, std::string_view separator) {
  const auto at = rest.find(separator);
  const auto part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + separator.size());
  return part;
}

Status read_target(std::string_view target, HttpRequest& request) {
  if (request.is_tunnel()) {
    SYMBIONT_TRY(request.authority, parse_authority(target, std::nullopt));
    request.host_header = std::string(target);
    return {};
  }
  static constexpr std::string_view kScheme = "http://";
  if (lowercase(target.substr(0, kScheme.size())) != kScheme) {
    return malformed("a proxy takes CONNECT host:port or METHOD http://host/path");
  }
  target.remove_prefix(kScheme.size());
  const auto authority = target.substr(0, target.find_first_of("/?"));
  const auto path = target.substr(authority.size());
  if (target.contains('#')) return malformed("the URI has a fragment");
  SYMBIONT_TRY(request.authority, parse_authority(authority, kHttpPort));
  request.host_header = std::string(authority);
  request.path = path.starts_with('/') ? std::string(path) : "/" + std::string(path);
  return {};
}

Status read_request_line(std::string_view line, HttpRequest& request) {
  if (std::ranges::count(line, ' ') != 2) return malformed("the request line is malformed");
  const auto method = next_part(line, " ");
  const auto target = next_part(line, " ");
  if (!is_token(method) || method.size() > kMaxMethodBytes) return malformed("no HTTP method");
  if (line != "HTTP/1.1" && line != "HTTP/1.0") return malformed("neither HTTP/1.1 nor HTTP/1.0");
  if (target.empty() || !std::ranges::all_of(target, is_visible)) {
    return malformed("the request target is malformed");
  }
  request.method = std::string(method);
  request.version = std::string(line);
  return read_target(target, request);
}

Result<Header> read_header(std::string_view line) {
  if (line.starts_with(' ') || line.starts_with('\t')) return malformed("a header is folded");
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return malformed("a header has no colon");
  const auto name = line.substr(0, colon);
  const auto value = trim(line.substr(colon + 1));
  if (!is_token(name)) return malformed("a header name is malformed");
  const bool is_clean =
      std::ranges::none_of(value, is_control) && !value.contains('\r') && !value.contains('\n');
  if (!is_clean) {
    return malformed(fmt::format("the value of header {} is malformed", quoted(name, 64)));
  }
  return Header(name, value);
}

Status read_content_length(std::string_view value, BodySize& body) {
  std::uint64_t bytes = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
  if (error != std::errc() || stop != value.data() + value.size() || bytes > kMaxContentLength) {
    return malformed("Content-Length is not a number");
  }
  body = {.kind = BodyKind::Length, .bytes = bytes};
  return {};
}

// Host, Content-Length and Transfer-Encoding decide how the next server reads the request: each may
// be there once.
struct Framing {
  std::optional<std::string> host, length, coding;
};

// Whether the header was one of those; an error when it is there for the second time.
Result<bool> collect_framing(const std::string& name, const std::string& value, Framing& framing) {
  std::optional<std::string>* place = nullptr;
  if (name == "host") place = &framing.host;
  if (name == "content-length") place = &framing.length;
  if (name == "transfer-encoding") place = &framing.coding;
  if (place == nullptr) return false;
  if (place->has_value()) return malformed(fmt::format("header {} is there twice", name));
  *place = value;
  return true;
}

Status read_framing(const Framing& framing, HttpRequest& request) {
  if (framing.length.has_value() && framing.coding.has_value()) {
    return malformed("both Content-Length and Transfer-Encoding");
  }
  if (request.is_tunnel() && (framing.length.has_value() || framing.coding.has_value())) {
    return malformed("CONNECT has no body");
  }
  if (framing.length.has_value()) return read_content_length(*framing.length, request.body);
  if (framing.coding.has_value()) {
    if (request.version != "HTTP/1.1") return malformed("Transfer-Encoding needs HTTP/1.1");
    if (lowercase(*framing.coding) != "chunked") {
      return malformed("Transfer-Encoding is not \"chunked\"");
    }
    request.body.kind = BodyKind::Chunked;
  }
  return {};
}

bool is_hop_by_hop(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"connection", "keep-alive", "te",
                                                             "trailer", "upgrade"};
  return name.starts_with("proxy-") || std::ranges::find(kNames, name) != kNames.end();
}

// Drops what concerns this hop only: known names, and those that Connection lists.
void drop_hop_by_hop(std::vector<Header>& headers) {
  std::vector<std::string> named;
  for (const auto& [name, value] : headers) {
    if (lowercase(name) != "connection") continue;
    for (std::string_view rest = value; !rest.empty();) {
      named.push_back(lowercase(trim(next_part(rest, ","))));
    }
  }
  std::erase_if(headers, [&](const Header& header) {
    const auto name = lowercase(header.first);
    return is_hop_by_hop(name) || std::ranges::find(named, name) != named.end();
  });
}

}  // namespace

Result<std::size_t> HeadScanner::scan(std::string_view input) {
  for (; seen_ < input.size(); ++seen_) {
    if (seen_ >= kMaxHeadBytes) {
      return malformed(fmt::format("the request head exceeds {} bytes", kMaxHeadBytes));
    }
    const char c = input[seen_];
    const bool after_cr = seen_ > 0 && input[seen_ - 1] == '\r';
    if (is_control(c)) return malformed("a control byte in the request head");
    if (after_cr != (c == '\n')) return malformed("a bare CR or LF in the request head");
    if (c != '\n') continue;
    const bool is_empty_line = seen_ - line_start_ == 1;
    line_start_ = seen_ + 1;
    if (is_empty_line) return line_start_;
  }
  return 0;
}

Result<HttpRequest> parse_request(std::string_view head) {
  HttpRequest request;
  SYMBIONT_TRY_STATUS(read_request_line(next_part(head, "\r\n"), request));
  Framing framing;
  std::size_t count = 0;
  while (!head.empty()) {
    const auto line = next_part(head, "\r\n");
    if (line.empty()) break;
    if (++count > kMaxHeaders) return malformed(fmt::format("more than {} headers", kMaxHeaders));
    SYMBIONT_TRY(auto header, read_header(line));
    SYMBIONT_TRY(const bool is_framing,
                 collect_framing(lowercase(header.first), header.second, framing));
    if (!is_framing) request.headers.push_back(std::move(header));
  }
  if (!head.empty()) return malformed("bytes after the request head");
  SYMBIONT_TRY_STATUS(read_framing(framing, request));
  drop_hop_by_hop(request.headers);
  return request;
}

std::string forwarded_head(const HttpRequest& request) {
  std::string head;
  auto out = std::back_inserter(head);
  fmt::format_to(out, "{} {} {}\r\nHost: {}\r\n", request.method, request.path, request.version,
                 request.host_header);
  for (const auto& [name, value] : request.headers)
    fmt::format_to(out, "{}: {}\r\n", name, value);
  if (request.body.kind == BodyKind::Length) {
    fmt::format_to(out, "Content-Length: {}\r\n", request.body.bytes);
  } else if (request.body.kind == BodyKind::Chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  }
  head += "Connection: close\r\n\r\n";
  return head;
}

}  // namespace symbiont::broker
