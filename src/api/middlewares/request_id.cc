#include "api/middlewares/request_id.h"

#include <algorithm>
#include <random>
#include <string_view>

#include <fmt/format.h>

namespace symbiont::api {
namespace {

constexpr std::size_t kMaxIdBytes = 64;

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '_' || c == '.';
}

}  // namespace

std::string request_id_for(const Request& request) {
  const std::string_view given = request.header("x-request-id");
  if (!given.empty() && given.size() <= kMaxIdBytes && std::ranges::all_of(given, is_plain)) {
    return std::string(given);
  }
  // Told apart in a log, not kept secret: no need to ask the kernel for each.
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return fmt::format("req-{:016x}{:016x}", generator(), generator());
}

}  // namespace symbiont::api
