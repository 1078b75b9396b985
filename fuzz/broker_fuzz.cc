// What a hostile program may say to the egress broker: proxy requests, SOCKS5, host names, bodies.
// The first byte says how the rest is cut into pieces, so that states between reads are tried too.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "broker/destination.h"
#include "broker/handshake.h"
#include "broker/http_request.h"
#include "broker/stream_filter.h"

namespace {

using namespace symbiont::broker;  // NOLINT(google-build-using-namespace): one program, one subject

void require(bool truth) {
  if (!truth) std::abort();
}

// Sent on, a head must mean to the next parser what it meant to ours, and be one head.
void check_forwarded(const HttpRequest& request) {
  const auto head = forwarded_head(request);
  require(head.find("\r\n\r\n") == head.size() - 4);
  const auto end = HeadScanner().scan(head);
  require(!end.has_value() || *end == head.size() || *end == 0);
  require(head.find('\0') == std::string::npos);
}

void check_body(const HttpRequest& request, std::string_view bytes, std::size_t piece) {
  BodyFilter body(request.body);
  TlsFilter tls;
  for (std::size_t at = 0; at < bytes.size() && !body.ended(); at += piece) {
    const auto part = bytes.substr(at, piece);
    const auto passed = body.take(part);
    (void)tls.take(part);  // only that it stays in its bounds
    if (!passed.has_value()) return;
    require(*passed <= part.size());
  }
}

void check_host(const Destinations& list, const Authority& authority, Carrier carrier) {
  const auto host = parse_host(authority.host);
  if (!host.has_value()) return;
  const auto again = parse_host(host->text);  // a normal form is its own normal form
  require(again.has_value() && *again == *host);
  const auto ruling = list.judge(*host, authority.port, carrier);
  require(ruling.allowed == ruling.reason.empty());
  const bool is_listed = host->text == "a.example" || host->text == "127.0.0.1";
  require(!ruling.allowed || is_listed);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer looks for
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const auto kList =
      Destinations::build({.access_mode = symbiont::NetworkAccessMode::Restricted,
                           .allowed_destinations = {{.host = "a.example"},
                                                    {.host = "a.example",
                                                     .port = 80,
                                                     .protocol = symbiont::NetworkProtocol::HTTP},
                                                    {.host = "127.0.0.1", .port = 443}}},
                          false);
  const std::size_t piece = data[0] == 0 ? size : data[0];
  std::string bytes(size - 1, '\0');
  for (std::size_t i = 1; i < size; ++i)
    bytes[i - 1] = static_cast<char>(data[i]);
  (void)parse_host(bytes);
  (void)parse_request(bytes);  // also what HeadScanner would have kept away

  Handshake handshake;
  std::string input;
  std::string reply;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    input += bytes.substr(at, piece);
    const auto state = handshake.feed(input, reply);
    require(reply.size() <= 4);
    if (!state.has_value()) {
      require(handshake.failure(Failure::Malformed, state.error().message()).size() < 8192);
      return 0;
    }
    if (*state == Handshake::State::NeedMore) continue;
    check_host(*kList, handshake.authority(), handshake.carrier());
    require(!handshake.failure(Failure::Denied, "x").empty());
    if (handshake.carrier() != Carrier::PlainRequest) return 0;
    check_forwarded(handshake.request());
    check_body(handshake.request(), input + bytes.substr(std::min(bytes.size(), at + piece)),
               piece);
    return 0;
  }
  return 0;
}
