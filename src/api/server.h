#ifndef SYMBIONT_API_SERVER_H_
#define SYMBIONT_API_SERVER_H_

// The HTTP server: listens, accepts, drains. One thread, that of run().

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "symbiont/slm.h"

#include "api/gateway.h"
#include "base/result.h"
#include "observe/log.h"

namespace symbiont::api {

struct ServerOptions {
  ServerSettings settings;  ///< of the configuration; `listen` and `unix_socket` may both be there
  std::chrono::seconds drain_time{30};  ///< for executions under way, once a stop is asked for
  bool handle_signals = false;  ///< SIGTERM, SIGINT: drain, the second one ends the process; SIGHUP
};

class Server {
 public:
  /// Binds its addresses. FailedPrecondition where it would be open to the network without keys.
  /// `gateway`'s engine and dispatcher, and `log`, outlive the server.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(ServerOptions options,
                                                              Gateway gateway,
                                                              observe::EventLog& log);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// "http://127.0.0.1:8080", "unix:/run/symbiont.sock": where it listens.
  [[nodiscard]] std::vector<std::string> urls() const;
  [[nodiscard]] std::uint16_t port() const;  ///< of the first TCP address; 0 = none
  /// Whether TCP callers need a key.
  [[nodiscard]] bool wants_keys() const;

  /// Serves until a stop was asked for and everything has ended or drain_time is over. What still
  /// runs then has been cancelled. False: something did not end, and the process should.
  [[nodiscard]] bool run();
  /// As SIGTERM. Threads: any.
  void stop();

  /// Takes over what may change at run time: keys file, agents, allowed hosts, origins, limits,
  /// quotas, certificates. New addresses are only logged. On an error everything stays. Call it on
  /// the thread of run(): from Gateway::reload.
  [[nodiscard]] Status apply(const ServerSettings& settings);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_SERVER_H_
