// Launcher messages as CBOR and back. The parser builds trees of any shape; what is read out of one
// is checked field by field.
#include <cmath>
#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include "sandbox/plain_cbor.h"
#include "sandbox/protocol.h"

namespace symbiont::sandbox {

using nlohmann::json;

namespace {

template <typename T>
constexpr T kLast = T::NoLastEnumeratorIsKnown;  // a type that is sent needs a line below
template <>
constexpr Request kLast<Request> = Request::LimitMemory;
template <>
constexpr Reply kLast<Reply> = Reply::Limited;
template <>
constexpr RootKind kLast<RootKind> = RootKind::View;
template <>
constexpr ViewKind kLast<ViewKind> = ViewKind::Scratch;
template <>
constexpr NetworkAccessMode kLast<NetworkAccessMode> = NetworkAccessMode::Full;
template <>
constexpr ControlState kLast<ControlState> = ControlState::Unavailable;
template <>
constexpr Denial::Kind kLast<Denial::Kind> = Denial::Kind::Process;

bool has_policy(Request request) {
  return request == Request::Spawn || request == Request::Probe;
}

// each_field() calls field(name, member): one list of names for both directions.
template <typename T, typename Wanted>
concept Is = std::same_as<std::remove_const_t<T>, Wanted>;

void each_field(Is<ViewEntry> auto& entry, auto&& field) {
  field("kind", entry.kind);
  field("source", entry.source);
  field("target", entry.target);
  field("directory", entry.directory);
  field("writable", entry.writable);
  field("executable", entry.executable);
  field("own", entry.own);
}

void each_field(Is<Control> auto& control, auto&& field) {
  field("state", control.state);
  field("detail", control.detail);
  field("remedy", control.remedy);
}

void each_field(Is<Denial> auto& denial, auto&& field) {
  field("kind", denial.kind);
  field("name", denial.name);
  field("port", denial.port);
  field("reason", denial.reason);
  field("count", denial.count);
}

void each_field(Is<Policy> auto& policy, auto&& field) {
  field("program", policy.program);
  field("arguments", policy.arguments);
  field("root", policy.root);
  field("memory_bytes", policy.memory_bytes);
  field("cpu_cores", policy.cpu_cores);
  field("scratch_bytes", policy.scratch_bytes);
  field("max_file_bytes", policy.max_file_bytes);
  field("threads", policy.threads);
  field("child_processes", policy.child_processes);
  field("cpu_seconds", policy.cpu_seconds);
  field("nice", policy.nice);
  field("allowed_syscalls", policy.allowed_syscalls);
  field("kill_on_violation", policy.kill_on_violation);
  field("undumpable", policy.undumpable);
  field("strict", policy.strict);
  field("view", policy.view);
  field("environment", policy.environment);
  field("working_directory", policy.working_directory);
  field("network", policy.network);
  field("report_files", policy.report_files);
  field("scratch_inodes", policy.scratch_inodes);
  field("io_bytes_per_second", policy.io_bytes_per_second);
  field("io_devices", policy.io_devices);
  field("io_incomplete", policy.io_incomplete);
  field("io_written", policy.io_written);
  field("gpu_wanted", policy.gpu_wanted);
}

void each_field(Is<RequestMessage> auto& message, auto&& field) {
  field("request", message.request);
  field("id", message.id);
  field("passed", message.passed);
  field("signal", message.signal);
  field("memory_bytes", message.memory_bytes);
  if (has_policy(message.request)) field("policy", message.policy);
}

void each_field(Is<ReplyMessage> auto& m, auto&& field) {
  field("reply", m.reply);
  field("id", m.id);
  field("pid", m.pid);
  field("init_pid", m.init_pid);
  field("privileged", m.privileged);
  field("namespaces", m.namespaces);
  field("cgroup", m.cgroup);
  field("controls", m.controls);
  field("step", m.step);
  field("errno", m.sys_errno);
  field("wait_status", m.wait_status);
  field("reported", m.reported);
  field("out_of_memory", m.out_of_memory);
  field("memory_limit", m.memory_limit);
  field("peak", m.peak_memory_bytes);
  field("cpu_us", m.cpu_time_us);
  field("throttled_us", m.throttled_us);
  field("written", m.written_bytes);
  field("scratch", m.scratch_bytes);
  field("scratch_full", m.scratch_full);
  field("fatal_call", m.fatal_call);
  field("denials", m.denials);
  field("denials_dropped", m.denials_dropped);
  field("newest_denial", m.newest_denial);
}

template <typename T>
concept HasFields = requires(T& value) { each_field(value, [](const char*, auto&) {}); };

template <typename T>
json written(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::to_underlying(value);
  } else if constexpr (std::same_as<T, std::filesystem::path>) {
    return value.string();
  } else if constexpr (HasFields<T>) {
    json out = json::object();
    each_field(value, [&](const char* name, const auto& member) { out[name] = written(member); });
    return out;
  } else if constexpr (std::same_as<T, ControlReport>) {
    json out = json::object();
    for (const auto& [name, control] : value)
      out[name] = written(control);
    return out;
  } else if constexpr (requires { typename T::value_type; } && !std::same_as<T, std::string>) {
    json out = json::array();
    for (const auto& item : value)
      out.push_back(written(item));
    return out;
  } else {
    return value;
  }
}

template <typename T>
std::string encoded(const T& message) {
  const std::vector<std::uint8_t> bytes = json::to_cbor(written(message));
  return {bytes.begin(), bytes.end()};
}

// read() says whether `in` is a T; `wrong` names the field that is not one of its kind.
bool read(const json& in, ControlReport& into, std::string& wrong);
template <typename T>
bool read(const json& in, std::vector<T>& into, std::string& wrong);

template <std::integral T>
bool read(const json& in, T& into, std::string& /*wrong*/) {
  if constexpr (std::same_as<T, bool>) {
    if (!in.is_boolean()) return false;
    into = in.get<bool>();
    return true;
  } else {
    if (!in.is_number_integer()) return false;
    const bool fits = in.is_number_unsigned() ? std::in_range<T>(in.get<std::uint64_t>())
                                              : std::in_range<T>(in.get<std::int64_t>());
    if (fits) into = in.get<T>();
    return fits;
  }
}

bool read(const json& in, double& into, std::string& /*wrong*/) {
  if (!in.is_number_float()) return false;
  into = in.get<double>();
  return std::isfinite(into);
}

bool read(const json& in, std::string& into, std::string& /*wrong*/) {
  if (!in.is_string()) return false;
  into = in.get<std::string>();
  return true;
}

bool read(const json& in, std::filesystem::path& into, std::string& wrong) {
  std::string text;
  if (!read(in, text, wrong)) return false;
  into = std::move(text);
  return true;
}

template <typename T>
  requires std::is_enum_v<T>
bool read(const json& in, T& into, std::string& wrong) {
  std::underlying_type_t<T> number{};
  if (!read(in, number, wrong) || number > std::to_underlying(kLast<T>)) return false;
  into = static_cast<T>(number);
  return true;
}

template <HasFields T>
bool read(const json& in, T& into, std::string& wrong) {
  if (!in.is_object()) return false;
  std::size_t fields = 0;
  each_field(into, [&](const char* name, auto& member) {
    ++fields;
    const auto found = in.find(name);
    std::string inner;
    if (!wrong.empty() || (found != in.end() && read(*found, member, inner))) return;
    wrong = inner.empty() ? name : name + ("." + inner);
  });
  if (wrong.empty() && in.size() != fields) wrong = "a field that nobody knows";
  return wrong.empty();
}

bool read(const json& in, ControlReport& into, std::string& wrong) {
  if (!in.is_object()) return false;
  for (const auto& [name, control] : in.items())
    if (!read(control, into[name], wrong)) return false;
  return true;
}

template <typename T>
bool read(const json& in, std::vector<T>& into, std::string& wrong) {
  if (!in.is_array()) return false;
  into.resize(in.size());
  for (std::size_t i = 0; i < into.size(); ++i)
    if (!read(in[i], into[i], wrong)) return false;
  return true;
}

template <typename Message>
Result<Message> decoded(const std::string& packet) {
  json in(json::value_t::discarded);
  if (is_plain_cbor(packet))
    in = json::from_cbor(packet, /*strict=*/true, /*allow_exceptions=*/false);
  if (in.is_discarded()) return fail(ErrorCode::DataCorrupt, "launcher packet is not our CBOR");
  Message message;
  std::string wrong;
  if (read(in, message, wrong)) return message;
  return fail(ErrorCode::DataCorrupt,
              "launcher packet: missing, of another type or out of range: " +
                  (wrong.empty() ? "everything" : wrong));
}

}  // namespace

std::string encode(const RequestMessage& message) {
  return encoded(message);
}

std::string encode(const ReplyMessage& message) {
  return encoded(message);
}

Result<RequestMessage> decode_request(const std::string& packet) {
  return decoded<RequestMessage>(packet);
}

Result<ReplyMessage> decode_reply(const std::string& packet) {
  return decoded<ReplyMessage>(packet);
}

}  // namespace symbiont::sandbox
