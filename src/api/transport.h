#ifndef SYMBIONT_API_TRANSPORT_H_
#define SYMBIONT_API_TRANSPORT_H_

// The bytes of one connection, plain or in TLS. All of it belongs to the loop's thread.

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>

namespace symbiont::api {

using Socket = boost::asio::generic::stream_protocol::socket;
using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  /// What has to be said before the first byte. False: it failed.
  [[nodiscard]] virtual boost::asio::awaitable<bool> handshake() = 0;
  /// Reads what there is, at least one byte; calls back with their number, 0 at the end of the
  /// stream or on an error. `into` stays where it is until then.
  using OnRead = std::function<void(std::size_t count)>;
  virtual void read(std::span<char> into, OnRead on_read) = 0;
  /// Writes all of it. False: the connection is of no more use.
  [[nodiscard]] virtual boost::asio::awaitable<bool> write(std::string_view bytes) = 0;
  /// Says that nothing more will be sent.
  virtual void end_sending() = 0;
  /// Ends every pending read and write with a failure.
  virtual void cancel() = 0;
};

[[nodiscard]] std::unique_ptr<Transport> make_plain_transport(Socket socket);
[[nodiscard]] std::unique_ptr<Transport> make_tls_transport(Socket socket, TlsContext context);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_TRANSPORT_H_
