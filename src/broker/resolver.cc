#include "broker/resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <fmt/format.h>

namespace symbiont::broker {
namespace {

class SystemResolver final : public Resolver {
 public:
  Result<std::vector<Address>> resolve(const std::string& name) override {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(name.c_str(), nullptr, &hints, &found);
    if (error != 0) {
      const bool is_unknown = error == EAI_NONAME;
      return fail(is_unknown ? ErrorCode::NotFound : ErrorCode::Unavailable,
                  fmt::format("cannot resolve {}: {}", name, gai_strerror(error)));
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
    std::vector<Address> addresses;
    for (const auto* entry = found; entry != nullptr; entry = entry->ai_next) {
      if (const auto address = Address::from_sockaddr(*entry->ai_addr)) {
        addresses.push_back(*address);
      }
    }
    return addresses;
  }
};

}  // namespace

std::unique_ptr<Resolver> system_resolver() {
  return std::make_unique<SystemResolver>();
}

}  // namespace symbiont::broker
