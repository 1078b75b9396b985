// Asks a throw-away launcher what this host offers: the library itself never forks.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/file.h"
#include "sandbox/launcher_connection.h"
#include "sandbox/sandbox.h"

namespace symbiont::sandbox {

Result<ControlReport> probe_host(const Policy& policy) {
  SYMBIONT_TRY(const auto program, find_program("symbiont-launcher"));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno_error("make a pipe"));
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  RequestMessage question;
  question.policy = policy;
  SYMBIONT_TRY(const pid_t pid,
               spawn_program(program, {"--probe", encode(question)}, -1, write_end.get()));
  write_end.reset();
  const auto answer = read_to_end(read_end.get(), kMaxPacketBytes, "the launcher's answer");
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  if (!answer.has_value()) return fail(answer.error());
  SYMBIONT_TRY(ReplyMessage reply, decode_reply(*answer));
  return std::move(reply.controls);
}

}  // namespace symbiont::sandbox
