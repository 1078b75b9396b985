#ifndef SYMBIONT_SANDBOX_PROTOCOL_H_
#define SYMBIONT_SANDBOX_PROTOCOL_H_

// Messages between a process that uses the library and its symbiont-launcher: one CBOR object a
// packet, since paths and arguments need not be UTF-8; descriptors beside it. Both ends are ours
// and trusted; a malformed packet still is an error and not a crash.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "symbiont/sandbox.h"
#include "symbiont/verdict.h"

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/policy.h"

namespace symbiont::sandbox {

inline constexpr std::size_t kMaxPacketBytes = 192U << 10U;
inline constexpr std::size_t kMaxPacketFds = 8;
inline constexpr int kLauncherFd = 3;  ///< the launcher's end of the socket

enum class Request : std::uint8_t { Probe, Spawn, Signal, Usage, LimitMemory };
enum class Reply : std::uint8_t { Probed, Started, Failed, Usage, Ended, Limited };

struct RequestMessage {
  Request request = Request::Spawn;
  std::uint64_t id = 0;
  Policy policy;                   ///< Probe, Spawn
  std::vector<int> passed;         ///< Spawn: which descriptors come with it, numbers of PlanFd
  int signal = 0;                  ///< Signal: to the program; SIGKILL to the whole tree
  std::uint64_t memory_bytes = 0;  ///< LimitMemory; 0: what the policy said
};

struct ReplyMessage {
  Reply reply = Reply::Started;
  std::uint64_t id = 0;
  int pid = 0;                 ///< Started: the program; network Restricted: the relay comes along
  int init_pid = 0;            ///< Started: pid 1 of its namespace
  bool privileged = false;     ///< Started: it took an identity of its own
  bool namespaces = true;      ///< Started: it is in namespaces of its own
  std::string cgroup;          ///< Started
  ControlReport controls;      ///< Probed, Started; Failed when controls are missing
  std::string step;            ///< Failed; Limited when it could not be done
  int sys_errno = 0;           ///< as `step`
  int wait_status = 0;         ///< Ended
  bool reported = false;       ///< Ended: pid 1 lived to report wait_status
  bool out_of_memory = false;  ///< Ended: the memory limit killed it
  std::uint64_t memory_limit = 0;  ///< Ended
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t cpu_time_us = 0;
  std::uint64_t throttled_us = 0;
  std::uint64_t written_bytes = 0;  ///< Ended: to block devices
  std::uint64_t scratch_bytes = 0;  ///< Ended: in use
  bool scratch_full = false;        ///< Ended: no byte or no inode was left
  std::string fatal_call;           ///< Ended: the system call it was killed for
  std::vector<Denial> denials;      ///< Ended
  std::uint64_t denials_dropped = 0;
  int newest_denial = -1;  ///< Ended: index in `denials`
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
