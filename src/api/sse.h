#ifndef SYMBIONT_API_SSE_H_
#define SYMBIONT_API_SSE_H_

#include <string>
#include <string_view>

namespace symbiont::api {

inline constexpr std::string_view kEventStream = "text/event-stream; charset=utf-8";

/// Appends one server-sent event; every line of `data` gets its own "data:" field. `event` empty:
/// no event name.
void append_event(std::string& out, std::string_view data, std::string_view event = {});

}  // namespace symbiont::api

#endif  // SYMBIONT_API_SSE_H_
