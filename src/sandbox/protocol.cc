#include "sandbox/protocol.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>

namespace symbiont::sandbox {

using nlohmann::json;

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(
    ViewEntry, kind, source, target, directory, writable, executable, own)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Policy,
                                   arguments,
                                   root,
                                   memory_bytes,
                                   cpu_cores,
                                   scratch_bytes,
                                   max_file_bytes,
                                   threads,
                                   child_processes,
                                   cpu_seconds,
                                   nice,
                                   allowed_syscalls,
                                   kill_on_violation,
                                   undumpable,
                                   strict,
                                   view,
                                   environment,
                                   working_directory,
                                   network,
                                   report_files,
                                   scratch_inodes,
                                   io_bytes_per_second,
                                   io_devices,
                                   io_incomplete,
                                   io_written,
                                   gpu_wanted)

namespace {

json policy_to_json(const Policy& policy) {
  json out = policy;
  out["program"] = policy.program.string();
  return out;
}

Policy policy_from_json(const json& in) {
  auto policy = in.get<Policy>();
  policy.program = in.at("program").get<std::string>();
  return policy;
}

json controls_to_json(const ControlReport& controls) {
  json out = json::object();
  for (const auto& [name, control] : controls) {
    out[name] = {static_cast<int>(control.state), control.detail, control.remedy};
  }
  return out;
}

ControlReport controls_from_json(const json& in) {
  ControlReport controls;
  for (const auto& [name, value] : in.items()) {
    controls[name] = {static_cast<ControlState>(value.at(0).get<int>()),
                      value.at(1).get<std::string>(), value.at(2).get<std::string>()};
  }
  return controls;
}

json denials_to_json(const std::vector<Denial>& denials) {
  json out = json::array();
  for (const Denial& denial : denials)
    out.push_back(
        {static_cast<int>(denial.kind), denial.name, denial.port, denial.reason, denial.count});
  return out;
}

std::vector<Denial> denials_from_json(const json& in) {
  std::vector<Denial> denials;
  for (const json& value : in) {
    denials.push_back({static_cast<Denial::Kind>(value.at(0).get<int>()),
                       value.at(1).get<std::string>(), value.at(2).get<std::uint16_t>(),
                       value.at(3).get<std::string>(), value.at(4).get<std::uint64_t>()});
  }
  return denials;
}

bool has_policy(Request request) {
  return request == Request::Spawn || request == Request::Probe;
}

std::string to_packet(const json& message) {
  const std::vector<std::uint8_t> bytes = json::to_cbor(message);
  return {bytes.begin(), bytes.end()};
}

template <typename Message, typename Fill>
Result<Message> decode_with(const std::string& packet, Fill fill) {
  const json in = json::from_cbor(packet, /*strict=*/true, /*allow_exceptions=*/false);
  if (in.is_discarded()) return fail(ErrorCode::DataCorrupt, "launcher packet is not CBOR");
  try {
    Message message;
    fill(in, message);
    return message;
  } catch (const json::exception& error) {
    return fail(ErrorCode::DataCorrupt, std::string("launcher packet: ") + error.what());
  }
}

}  // namespace

std::string encode(const RequestMessage& message) {
  json out = {{"request", static_cast<int>(message.request)},
              {"id", message.id},
              {"passed", message.passed},
              {"signal", message.signal}};
  if (has_policy(message.request)) out["policy"] = policy_to_json(message.policy);
  return to_packet(out);
}

std::string encode(const ReplyMessage& m) {
  const json out = {{"reply", static_cast<int>(m.reply)},
                    {"id", m.id},
                    {"pid", m.pid},
                    {"init_pid", m.init_pid},
                    {"privileged", m.privileged},
                    {"cgroup", m.cgroup},
                    {"controls", controls_to_json(m.controls)},
                    {"step", m.step},
                    {"errno", m.sys_errno},
                    {"wait_status", m.wait_status},
                    {"reported", m.reported},
                    {"out_of_memory", m.out_of_memory},
                    {"memory_limit", m.memory_limit},
                    {"peak", m.peak_memory_bytes},
                    {"cpu_us", m.cpu_time_us},
                    {"throttled_us", m.throttled_us},
                    {"written", m.written_bytes},
                    {"scratch", m.scratch_bytes},
                    {"scratch_full", m.scratch_full},
                    {"fatal_call", m.fatal_call},
                    {"denials", denials_to_json(m.denials)},
                    {"denials_dropped", m.denials_dropped},
                    {"newest_denial", m.newest_denial}};
  return to_packet(out);
}

Result<RequestMessage> decode_request(const std::string& packet) {
  return decode_with<RequestMessage>(packet, [](const json& in, RequestMessage& message) {
    message.request = static_cast<Request>(in.at("request").get<int>());
    message.id = in.at("id").get<std::uint64_t>();
    in.at("passed").get_to(message.passed);
    in.at("signal").get_to(message.signal);
    if (has_policy(message.request)) message.policy = policy_from_json(in.at("policy"));
  });
}

Result<ReplyMessage> decode_reply(const std::string& packet) {
  return decode_with<ReplyMessage>(packet, [](const json& in, ReplyMessage& m) {
    m.reply = static_cast<Reply>(in.at("reply").get<int>());
    in.at("id").get_to(m.id);
    in.at("pid").get_to(m.pid);
    in.at("init_pid").get_to(m.init_pid);
    in.at("privileged").get_to(m.privileged);
    in.at("cgroup").get_to(m.cgroup);
    m.controls = controls_from_json(in.at("controls"));
    in.at("step").get_to(m.step);
    in.at("errno").get_to(m.sys_errno);
    in.at("wait_status").get_to(m.wait_status);
    in.at("reported").get_to(m.reported);
    in.at("out_of_memory").get_to(m.out_of_memory);
    in.at("memory_limit").get_to(m.memory_limit);
    in.at("peak").get_to(m.peak_memory_bytes);
    in.at("cpu_us").get_to(m.cpu_time_us);
    in.at("throttled_us").get_to(m.throttled_us);
    in.at("written").get_to(m.written_bytes);
    in.at("scratch").get_to(m.scratch_bytes);
    in.at("scratch_full").get_to(m.scratch_full);
    in.at("fatal_call").get_to(m.fatal_call);
    m.denials = denials_from_json(in.at("denials"));
    in.at("denials_dropped").get_to(m.denials_dropped);
    in.at("newest_denial").get_to(m.newest_denial);
  });
}

Result<Packet> receive_packet(int socket) {
  Packet packet;
  ssize_t size = 0;
  do {
    size = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return fail(errno_error("receive from the launcher socket"));
  packet.text.resize(std::min(static_cast<std::size_t>(size), kMaxPacketBytes));
  iovec data{packet.text.data(), packet.text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPacketFds)> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t count = 0;
  do {
    count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return fail(errno_error("receive from the launcher socket"));
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t fds = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < fds; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  if (count == 0)
    return fail(ErrorCode::Unavailable, "the other end of the launcher socket is gone");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return fail(ErrorCode::DataCorrupt, "packet was cut off");
  packet.text.resize(static_cast<std::size_t>(count));
  return packet;
}

Status send_packet(int socket, const std::string& text, const std::vector<int>& fds) {
  if (text.size() > kMaxPacketBytes || fds.size() > kMaxPacketFds) {
    return fail(ErrorCode::ResourceExhausted,
                "a launcher packet is limited to 192 KiB and 8 descriptors");
  }
  std::string copy = text;
  iovec data{copy.data(), copy.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPacketFds)> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(part), fds.data(), sizeof(int) * fds.size());
  }
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return fail(errno_error("send to the launcher socket"));
  }
  return {};
}

}  // namespace symbiont::sandbox
