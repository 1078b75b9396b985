#include "api/sse.h"

namespace symbiont::api {

void append_event(std::string& out, std::string_view data, std::string_view event) {
  if (!event.empty()) {
    out.append("event: ").append(event).append("\n");
  }
  while (true) {
    // A bare carriage return ends a line for a reader of events, too.
    const std::size_t end = data.find_first_of("\r\n");
    out.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    const bool is_pair = data.substr(end, 2) == "\r\n";
    data.remove_prefix(end + (is_pair ? 2 : 1));
  }
  out.append("\n");
}

}  // namespace symbiont::api
