#ifndef SYMBIONT_SANDBOX_PROTOCOL_H_
#define SYMBIONT_SANDBOX_PROTOCOL_H_

// Messages between a process that uses the library and its symbiont-launcher: one JSON object a
// packet, descriptors beside it. Both ends are ours and trusted; a malformed packet still is an
// error and not a crash.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "symbiont/verdict.h"

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/policy.h"

namespace symbiont::sandbox {

inline constexpr std::size_t kMaxPacketBytes = 64U << 10U;
inline constexpr std::size_t kMaxPacketFds = 2;
inline constexpr int kLauncherFd = 3;  ///< the launcher's end of the socket

enum class Request : std::uint8_t { Spawn, Kill, Usage };
enum class Reply : std::uint8_t { Started, Failed, Usage, Ended };

struct RequestMessage {
  Request request = Request::Spawn;
  std::uint64_t id = 0;
  Policy policy;  ///< Spawn
};

struct ReplyMessage {
  Reply reply = Reply::Started;
  std::uint64_t id = 0;
  int pid = 0;                     ///< Started: the program
  int init_pid = 0;                ///< Started: pid 1 of its namespace
  bool privileged = false;         ///< Started: it took an identity of its own
  std::string cgroup;              ///< Started
  ControlReport controls;          ///< Started; Failed when controls are missing
  std::string step;                ///< Failed
  int sys_errno = 0;               ///< Failed
  int wait_status = 0;             ///< Ended
  bool reported = false;           ///< Ended: pid 1 lived to report wait_status
  bool out_of_memory = false;      ///< Ended: the memory limit killed it
  std::uint64_t memory_limit = 0;  ///< Ended
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t cpu_time_us = 0;
  std::uint64_t throttled_us = 0;
};

[[nodiscard]] std::string encode(const RequestMessage& message);
[[nodiscard]] std::string encode(const ReplyMessage& message);
[[nodiscard]] Result<RequestMessage> decode_request(const std::string& packet);
[[nodiscard]] Result<ReplyMessage> decode_reply(const std::string& packet);

struct Packet {
  std::string text;
  std::vector<UniqueFd> fds;
};

/// One packet; Unavailable at end of file.
[[nodiscard]] Result<Packet> receive_packet(int socket);
[[nodiscard]] Status send_packet(int socket, const std::string& text, const std::vector<int>& fds);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_PROTOCOL_H_
