#include "api/transport.h"

#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace symbiont::api {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {
    boost::system::error_code error;
    (void)socket_.non_blocking(true, error);  // fails on a socket that is gone, as write() will
  }

  awaitable<bool> handshake() override { co_return true; }

  void read(std::span<char> into, OnRead on_read) override {
    socket_.async_read_some(
        asio::mutable_buffer(into.data(), into.size()),
        [on_read = std::move(on_read)](boost::system::error_code error, std::size_t count) {
          on_read(error ? 0 : count);
        });
  }

  awaitable<bool> write(std::string_view bytes) override {
    // Mostly the kernel has room for all of it, which then costs no turn of the loop.
    boost::system::error_code failure;
    asio::const_buffer rest(bytes.data(), bytes.size());
    rest += socket_.write_some(rest, failure);
    if (failure && failure != asio::error::would_block) co_return false;
    if (rest.size() == 0) co_return true;
    const auto [error, count] = co_await asio::async_write(socket_, rest, kTuple);
    co_return !error;
  }

  void end_sending() override {
    boost::system::error_code ignored;  // the peer may be gone already
    (void)socket_.shutdown(Socket::shutdown_send, ignored);
  }

  void cancel() override {
    boost::system::error_code ignored;  // nothing was pending
    (void)socket_.cancel(ignored);
  }

 private:
  Socket socket_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(Socket socket, TlsContext context)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}

  awaitable<bool> handshake() override {
    const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kTuple);
    co_return !error;
  }

  void read(std::span<char> into, OnRead on_read) override {
    stream_.async_read_some(
        asio::mutable_buffer(into.data(), into.size()),
        [on_read = std::move(on_read)](boost::system::error_code error, std::size_t count) {
          on_read(error ? 0 : count);
        });
  }

  awaitable<bool> write(std::string_view bytes) override {
    const asio::const_buffer buffer(bytes.data(), bytes.size());
    const auto [error, count] = co_await asio::async_write(stream_, buffer, kTuple);
    co_return !error;
  }

  void end_sending() override {
    boost::system::error_code ignored;  // the peer may be gone already
    (void)stream_.next_layer().shutdown(Socket::shutdown_send, ignored);
  }

  void cancel() override {
    boost::system::error_code ignored;  // nothing was pending
    (void)stream_.next_layer().cancel(ignored);
  }

 private:
  TlsContext context_;
  asio::ssl::stream<Socket> stream_;
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(Socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

std::unique_ptr<Transport> make_tls_transport(Socket socket, TlsContext context) {
  return std::make_unique<TlsTransport>(std::move(socket), std::move(context));
}

}  // namespace symbiont::api
