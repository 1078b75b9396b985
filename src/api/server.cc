#include "api/server.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "api/connection.h"
#include "api/listener.h"
#include "api/policies.h"

namespace symbiont::api {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr auto kSweepInterval = 250ms;  // how late a deadline may be noticed
constexpr auto kDrainInterval = 10ms;   // how late the end of draining may be noticed
constexpr auto kMinAcceptPause = 50ms;  // without free descriptors
constexpr auto kMaxAcceptPause = 1000ms;
constexpr auto kCancelTime = 5s;  // for executions to end, once they are cancelled
constexpr int kAcceptBatch = 64;  // then others have their turn

/// A handler, not SIG_IGN: an ignored signal stays ignored in the programs we start.
void on_pipe(int /*signal*/) {}

}  // namespace

struct Server::Impl {
  Impl(ServerOptions options_in, Service service_in, UniqueFd bell_in, observe::EventLog& log_in)
      : options(std::move(options_in)),
        service(std::move(service_in)),
        log(log_in),
        bell(loop, bell_in.release()) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { service.end_aside(); }

  awaitable<void> accept_from(Listener& listener, asio::posix::stream_descriptor& descriptor);
  void start_connection(UniqueFd fd, const Listener& listener);
  void reject(UniqueFd fd);
  awaitable<void> answer_bell();
  awaitable<void> sweep();
  void reload();
  awaitable<void> handle_signals();
  awaitable<void> drain();
  void begin_drain();

  ServerOptions options;
  Service service;
  observe::EventLog& log;
  TlsContext tls;  // null: plain
  std::vector<Listener> listeners;
  asio::io_context loop{1};
  // Borrow the listeners' descriptors, which have to be open as long as these wait for them.
  std::vector<std::unique_ptr<asio::posix::stream_descriptor>> accepting;
  asio::posix::stream_descriptor bell;  // readable when the service's doorbell has rung
  asio::steady_timer sweep_timer{loop};
  asio::signal_set signals{loop};
  std::set<Connection*> connections;  // each takes itself out when it ends
  bool is_draining = false;
  bool is_reloading = false;  // for a signal
  bool reload_again = false;
  bool everything_ended = true;
};

// --- Accepting ----------------------------------------------------------------------------------

void Server::Impl::reject(UniqueFd fd) {
  const Response response = openai_busy_response();
  std::string text = response_head(response, response.body.size(), true);
  text += response.body;
  // As much as fits: it is not worth waiting for.
  [[maybe_unused]] const ssize_t sent =
      ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Server::Impl::start_connection(UniqueFd fd, const Listener& listener) {
  if (connections.size() >= service.limits().max_connections) return reject(std::move(fd));
  Peer peer = peer_of(fd.get(), listener.is_unix());
  Socket socket(loop);
  boost::system::error_code error;
  const int protocol = listener.is_unix() ? 0 : IPPROTO_TCP;
  // Returns the error that it also sets.
  (void)socket.assign(asio::generic::stream_protocol(listener.family(), protocol), fd.get(), error);
  if (error) {
    log.error("connection_failed", {{"message", error.message()}});
    return;
  }
  (void)fd.release();  // the socket's now
  auto transport = tls != nullptr && !listener.is_unix()
                       ? make_tls_transport(std::move(socket), tls)
                       : make_plain_transport(std::move(socket));
  const auto connection = std::make_shared<Connection>(loop.get_executor(), std::move(transport),
                                                       std::move(peer), service);
  if (connections.empty()) sweep_timer.cancel();  // it sleeps while there is nothing to look at
  connections.insert(connection.get());
  asio::co_spawn(loop, connection->run(), [this, connection](const std::exception_ptr& thrown) {
    connections.erase(connection.get());
    if (thrown == nullptr) return;
    // Our bug, or no memory: this connection's end and nobody else's.
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& exception) {
      log.error("connection_aborted", {{"message", exception.what()}});
    }
  });
}

awaitable<void> Server::Impl::accept_from(Listener& listener,
                                          asio::posix::stream_descriptor& descriptor) {
  asio::steady_timer pause(loop);
  auto pause_time = kMinAcceptPause;
  while (!is_draining) {
    const auto [error] =
        co_await descriptor.async_wait(asio::posix::descriptor_base::wait_read, kTuple);
    if (error || is_draining) co_return;
    for (int i = 0; i < kAcceptBatch; ++i) {
      Result<UniqueFd> fd = accept_one(listener);
      if (!fd.has_value()) {
        // No descriptors or no memory: connections that end give some back.
        log.error("accept_failed", {{"message", fd.error().message()},
                                    {"connections", connections.size()},
                                    {"pause_ms", pause_time.count()}});
        pause.expires_after(pause_time);
        co_await pause.async_wait(kTuple);
        pause_time = std::min(pause_time * 2, kMaxAcceptPause);
        break;
      }
      pause_time = kMinAcceptPause;
      if (!fd->is_valid()) break;
      start_connection(*std::move(fd), listener);
    }
  }
}

awaitable<void> Server::Impl::answer_bell() {
  while (true) {
    const auto [error] = co_await bell.async_wait(asio::posix::descriptor_base::wait_read, kTuple);
    if (error) co_return;
    service.doorbell()->answer();
  }
}

// --- Time ---------------------------------------------------------------------------------------

awaitable<void> Server::Impl::sweep() {
  while (true) {
    const bool sleeps = connections.empty();
    sweep_timer.expires_after(sleeps ? std::chrono::hours(24) : kSweepInterval);
    co_await sweep_timer.async_wait(kTuple);
    const auto now = Connection::Clock::now();
    for (Connection* connection : connections)
      connection->check_deadline(now);
  }
}

void Server::Impl::begin_drain() {
  if (is_draining) return;
  is_draining = true;
  service.gateway().is_draining = true;
  service.gateway().dispatcher->stop_accepting();
  for (const auto& descriptor : accepting)
    descriptor->cancel();
  for (const auto& descriptor : accepting)
    (void)descriptor->release();  // the listeners' own
  for (Listener& listener : listeners)
    listener.close();
  for (Connection* connection : connections)
    connection->close_when_idle();
  const DispatcherCounts counts = service.gateway().dispatcher->counts();
  log.info("draining", {{"running", counts.running}, {"queued", counts.queued}});
  asio::co_spawn(loop, drain(), asio::detached);
}

awaitable<void> Server::Impl::drain() {
  asio::steady_timer timer(loop);
  const auto until = Connection::Clock::now() + options.drain_time;
  Dispatcher& dispatcher = *service.gateway().dispatcher;
  const auto busy = [&] {
    const DispatcherCounts counts = dispatcher.counts();
    return counts.running + counts.queued + service.busy_connections > 0;
  };
  while (busy() && Connection::Clock::now() < until) {
    timer.expires_after(kDrainInterval);
    co_await timer.async_wait(kTuple);
  }
  if (busy()) {
    log.warning("drain_time_over", {{"running", dispatcher.counts().running}});
    dispatcher.cancel_all();
    const auto cancel_until = Connection::Clock::now() + kCancelTime;
    while (busy() && Connection::Clock::now() < cancel_until) {
      timer.expires_after(kDrainInterval);
      co_await timer.async_wait(kTuple);
    }
  }
  everything_ended = !busy();
  loop.stop();
}

void Server::Impl::reload() {
  if (service.gateway().reload == nullptr) {
    log.warning("reload_ignored", {{"message", "there is no configuration to read again"}});
    return;
  }
  // However many signals come while one reads, one more sees the newest configuration.
  if (is_reloading) {
    reload_again = true;
    return;
  }
  is_reloading = true;
  service.run_aside(loop.get_executor(), service.gateway().reload,
                    [this](const Gateway::TakeOver& take_over) {
                      (void)take_over().has_value();  // has logged what was wrong
                      is_reloading = false;
                      if (std::exchange(reload_again, false)) reload();
                    });
}

awaitable<void> Server::Impl::handle_signals() {
  while (true) {
    const auto [error, signal] = co_await signals.async_wait(kTuple);
    if (error) co_return;
    if (signal == SIGHUP) {
      reload();
      continue;
    }
    if (is_draining) ::_exit(128 + signal);
    begin_drain();
  }
}

// --- The calls ----------------------------------------------------------------------------------

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::create(ServerOptions options,
                                               Gateway gateway,
                                               observe::EventLog& log) {
  const ServerSettings& settings = options.settings;
  std::vector<Listener> listeners;
  if (settings.listen.has_value()) {
    SYMBIONT_TRY(listeners, Listener::tcp(*settings.listen));
  }
  if (!settings.unix_socket.empty()) {
    SYMBIONT_TRY(Listener local, Listener::local(settings.unix_socket));
    listeners.push_back(std::move(local));
  }
  if (listeners.empty())
    return fail(ErrorCode::InvalidArgument, "there is no address to listen on");
  SYMBIONT_TRY_STATUS(check_exposure(settings, listeners));
  TlsContext tls;
  if (settings.tls.has_value()) {
    SYMBIONT_TRY(tls, make_tls_context(*settings.tls));
  }
  gateway.execution_timeout = settings.limits.execution_timeout;
  SYMBIONT_TRY(std::shared_ptr<Doorbell> doorbell, Doorbell::create());
  SYMBIONT_TRY(UniqueFd bell, doorbell->watch());
  Service service(std::move(gateway), make_policies(settings, listeners), std::move(doorbell), log);
  auto impl = std::make_unique<Impl>(std::move(options), std::move(service), std::move(bell), log);
  impl->tls = std::move(tls);
  impl->listeners = std::move(listeners);
  if (impl->options.handle_signals) {
    // From now on, not only from run() on: whoever has been told the address may send them.
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
      impl->signals.add(signal);
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::vector<std::string> Server::urls() const {
  std::vector<std::string> urls;
  for (const Listener& listener : impl_->listeners) {
    const std::string_view scheme = impl_->tls != nullptr ? "https://" : "http://";
    urls.push_back(fmt::format("{}{}", listener.is_unix() ? "unix:" : scheme, listener.name()));
  }
  return urls;
}

std::uint16_t Server::port() const {
  for (const Listener& listener : impl_->listeners) {
    if (!listener.is_unix()) return listener.port();
  }
  return 0;
}

bool Server::wants_keys() const {
  return !impl_->options.settings.keys_file.empty();
}

bool Server::run() {
  Impl& impl = *impl_;
  struct sigaction action = {};
  action.sa_handler = on_pipe;
  (void)::sigaction(SIGPIPE, &action, nullptr);  // NOLINT(cert-err33-c): cannot fail for this one
  if (impl.options.handle_signals) {
    asio::co_spawn(impl.loop, impl.handle_signals(), asio::detached);
  }
  for (Listener& listener : impl.listeners) {
    impl.accepting.push_back(
        std::make_unique<asio::posix::stream_descriptor>(impl.loop, listener.fd()));
    asio::co_spawn(impl.loop, impl.accept_from(listener, *impl.accepting.back()), asio::detached);
  }
  asio::co_spawn(impl.loop, impl.answer_bell(), asio::detached);
  asio::co_spawn(impl.loop, impl.sweep(), asio::detached);
  const auto work = asio::make_work_guard(impl.loop);
  impl.loop.run();
  impl.log.info("stopped", {{"everything_ended", impl.everything_ended}});
  return impl.everything_ended;
}

void Server::stop() {
  asio::post(impl_->loop, [impl = impl_.get()] { impl->begin_drain(); });
}

Status Server::apply(const ServerSettings& settings) {
  const ServerSettings& old = impl_->options.settings;
  SYMBIONT_TRY_STATUS(check_exposure(settings, impl_->listeners));
  TlsContext tls;
  if (settings.tls.has_value()) {
    SYMBIONT_TRY(tls, make_tls_context(*settings.tls));
  }
  if (settings.tls.has_value() != old.tls.has_value()) {
    return fail(ErrorCode::FailedPrecondition, "switching TLS on or off needs a restart");
  }
  if (settings.listen != old.listen || settings.unix_socket != old.unix_socket) {
    impl_->log.warning("restart_needed", {{"message", "other addresses need a restart"}});
  }
  impl_->service.gateway().execution_timeout = settings.limits.execution_timeout;
  impl_->service.set_policies(make_policies(settings, impl_->listeners));
  impl_->tls = std::move(tls);  // connections keep theirs
  ServerSettings taken = settings;
  taken.listen = old.listen;
  taken.unix_socket = old.unix_socket;
  impl_->options.settings = std::move(taken);
  return {};
}

}  // namespace symbiont::api
