#include "sandbox/proof.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>
#include <sstream>

#include "base/file.h"
#include "sandbox/lockdown.h"

namespace symbiont::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxProcBytes = 1U << 20U;
// A confined process may not open more (RLIMIT_NOFILE is 64); what it had before would lie low too.
constexpr int kMaxDescriptors = 1024;
constexpr std::array<const char*, 7> kNamespaces = {"user", "mnt", "pid",   "net",
                                                    "ipc",  "uts", "cgroup"};
constexpr std::array<const char*, 5> kCapabilitySets = {"CapInh", "CapPrm", "CapEff", "CapBnd",
                                                        "CapAmb"};

/// Collects items about one process.
class Inspector {
 public:
  explicit Inspector(const ProofExpectation& expectation)
      : expected_(expectation), directory_("/proc/" + std::to_string(expectation.pid)) {}

  Status read() {
    SYMBIONT_TRY(status_, read_file(directory_ / "status", kMaxProcBytes));
    return {};
  }

  void privileges() {
    equal("seccomp", "2", field("Seccomp"));
    equal("no_new_privs", "1", field("NoNewPrivs"));
    for (const char* set : kCapabilitySets) {
      if (!is_ordinary() || std::string_view(set) != "CapBnd")
        equal(set, "0000000000000000", field(set));
    }
    equal("tracer", "0", field("TracerPid"));
    if (expected_.own_identity) {
      const std::string uid = field("Uid");
      std::set<std::string> ids = words(uid);
      add("identity", "one uid that is not ours", uid,
          ids.size() == 1 && !ids.contains(std::to_string(::getuid())));
      equal("groups", "", field("Groups"));
    }
  }

  void namespaces() {
    for (const char* name : kNamespaces) {
      if (std::string_view(name) == "net" && !expected_.own_network) continue;
      std::error_code error;
      const auto theirs = fs::read_symlink(directory_ / "ns" / name, error);
      const auto ours = fs::read_symlink(fs::path("/proc/self/ns") / name, error);
      add(std::string("namespace ") + name, "not " + ours.string(),
          error ? error.message() : theirs.string(), !error && theirs != ours);
    }
    const auto depth = std::ranges::distance(words(field("NSpid")));
    add("pid namespace", "its own, below ours", field("NSpid"),
        depth >= 1 && field("NSpid").contains('\t'));
  }

  /// Every mount is one of the view's or lies below one, and only what may be written is writable.
  void view_mounts() {
    const auto table = read_file(directory_ / "mountinfo", kMaxProcBytes);
    std::istringstream lines(table.value_or(""));
    std::string unexpected;
    std::string writable;
    std::string scratch = "absent";
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      std::istringstream fields(line);
      std::string skip;
      std::string at;
      std::string options;
      fields >> skip >> skip >> skip >> skip >> at >> options;
      const ViewEntry* entry = nearest(at);
      if (entry == nullptr && at != "/") unexpected += " " + at;
      const bool may_write =
          entry != nullptr &&
          (entry->writable || entry->kind == ViewKind::Proc || entry->kind == ViewKind::Device);
      if (!may_write && !("," + options + ",").contains(",ro,")) writable += " " + at;
      if (entry != nullptr && entry->kind == ViewKind::Scratch) scratch = size_option(line);
      if (!("," + options + ",").contains(",nosuid,")) unexpected += " " + at + " (set-id)";
    }
    add("mounts", "those of the profile", unexpected.empty() ? std::to_string(count) : unexpected,
        count > 0 && unexpected.empty());
    add("read-only mounts", "all but the write paths", writable.empty() ? "all" : writable,
        count > 0 && writable.empty());
    if (expected_.scratch_bytes > 0)
      equal("scratch", "size=" + std::to_string(expected_.scratch_bytes / 1024) + "k", scratch);
  }

  void mounts() {
    const auto table = read_file(directory_ / "mountinfo", kMaxProcBytes);
    const std::string text =
        table.value_or("unreadable: " + (table ? "" : table.error().message()));
    const auto lines = std::ranges::count(text, '\n');
    const bool only_root = lines == 1 && text.contains(" / / ") && text.contains(" - tmpfs ");
    add("mounts", "one tmpfs as root", std::to_string(lines) + " mounts", only_root);
    const bool flags = text.contains("nosuid") && text.contains("nodev") && text.contains("noexec");
    add("root flags", "nosuid,nodev,noexec", flags ? "nosuid,nodev,noexec" : text, flags);
    if (expected_.read_only_root) {
      const bool read_only = text.contains(" / / ro,");
      add("root", "read-only", read_only ? "read-only" : "writable", read_only);
    } else {
      const std::string size = "size=" + std::to_string(expected_.scratch_bytes / 1024) + "k";
      add("scratch", size, text.contains(size) ? size : text, text.contains(size));
    }
    std::error_code error;
    const bool empty = fs::is_empty(directory_ / "root", error);
    add("root directory", "empty", error ? error.message() : (empty ? "empty" : "has entries"),
        !error && empty);
  }

  // Not by /proc/PID/fd: that directory of an undumpable process is root's alone. The kernel's
  // check for pidfd_getfd is the one for ptrace, which the owner of the user namespace passes.
  void descriptors() {
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, expected_.pid, 0)));
    std::string found = process.is_valid() ? "" : errno_text(errno);
    bool holds = process.is_valid();
    for (int number = 0; process.is_valid() && number < kMaxDescriptors; ++number) {
      const UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
      const int error = errno;
      if (!copy.is_valid() && error == EBADF) continue;
      const std::string kind = copy.is_valid() ? kind_of(copy.get()) : errno_text(error);
      found += std::to_string(number) + "=" + kind + " ";
      holds =
          holds && kind == (number == kControlFd ? "socket" : "/dev/null") && number <= kControlFd;
    }
    add("descriptors", "0-2 /dev/null, 3 the control socket", found, holds);
  }

  void surroundings() {
    const auto limits = read_file(directory_ / "limits", kMaxProcBytes).value_or("");
    equal("core files", "0", hard_limit(limits, "Max core file size"));
    if (expected_.max_file_bytes > 0)
      equal("file size", std::to_string(expected_.max_file_bytes),
            hard_limit(limits, "Max file size"));
    if (expected_.undumpable && !expected_.any_program && !is_ordinary()) {
      // Files of a process that cannot be dumped belong to root, not to its own user.
      struct stat info{};
      const std::string path = (directory_ / "environ").string();
      const bool holds =
          ::stat(path.c_str(), &info) == 0 && info.st_uid == 0 && field("Uid") != "0\t0\t0\t0";
      add("dumpable", "no", holds ? "no" : "yes", holds);
    }
    if (!expected_.memory_cgroup.empty()) {
      const auto groups = read_file(directory_ / "cgroup", kMaxProcBytes).value_or("");
      const bool member = groups.contains("/" + expected_.memory_cgroup + "\n");
      add("cgroup", expected_.memory_cgroup, member ? expected_.memory_cgroup : groups, member);
    }
  }

  std::vector<ProofItem> take() { return std::move(items_); }

 private:
  /// Neither an identity nor a namespace sets it apart from this process.
  [[nodiscard]] bool is_ordinary() const {
    return !expected_.own_identity && !expected_.own_namespaces;
  }
  /// The deepest entry of the view that holds `path`.
  [[nodiscard]] const ViewEntry* nearest(const std::string& path) const {
    const ViewEntry* found = nullptr;
    for (const ViewEntry& entry : expected_.view) {
      const bool holds = path == entry.target || path.starts_with(entry.target + "/");
      if (!holds || entry.kind == ViewKind::Symlink) continue;
      if (found == nullptr || entry.target.size() > found->target.size()) found = &entry;
    }
    return found;
  }
  static std::string kind_of(int fd) {
    struct stat info{};
    if (::fstat(fd, &info) != 0) return errno_text(errno);
    if (S_ISSOCK(info.st_mode)) return "socket";
    const bool null = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
    return null ? "/dev/null" : "mode " + std::to_string(info.st_mode);
  }
  static std::set<std::string> words(const std::string& text) {
    std::istringstream in(text);
    std::set<std::string> parts;
    for (std::string word; in >> word;)
      parts.insert(word);
    return parts;
  }
  /// "size=.." of a line of mountinfo.
  static std::string size_option(const std::string& line) {
    const auto at = line.find("size=", line.find(" - "));
    return at == std::string::npos ? "no size" : line.substr(at, line.find(',', at) - at);
  }
  /// Third column of a line of /proc/PID/limits: name, soft, hard, unit.
  static std::string hard_limit(const std::string& limits, std::string_view name) {
    const auto at = limits.find("\n" + std::string(name));
    if (at == std::string::npos) return "absent";
    std::istringstream columns(limits.substr(at + 1 + name.size()));
    std::string hard;
    columns >> hard >> hard;
    return hard;
  }
  /// Value of a "Name:\tvalue" line of status, without its trailing blanks.
  [[nodiscard]] std::string field(const std::string& name) const {
    const auto at = status_.find("\n" + name + ":");
    if (at == std::string::npos) return "absent";
    const auto begin = status_.find_first_not_of(" \t", at + name.size() + 2);
    const auto end = status_.find('\n', at + 1);
    if (begin >= end) return "";
    std::string value = status_.substr(begin, end - begin);
    value.erase(value.find_last_not_of(' ') + 1);
    return value;
  }
  void add(std::string name, std::string expected, std::string found, bool holds) {
    items_.push_back({std::move(name), std::move(expected), std::move(found), holds});
  }
  void equal(const std::string& name, const std::string& expected, const std::string& found) {
    add(name, expected, found, expected == found);
  }

  const ProofExpectation& expected_;
  fs::path directory_;
  std::string status_;
  std::vector<ProofItem> items_;
};

}  // namespace

ProofExpectation expect_confined(const Policy& policy, pid_t pid, Given given) {
  ProofExpectation expectation;
  expectation.pid = pid;
  expectation.own_identity = given.identity;
  expectation.own_namespaces = given.namespaces;
  expectation.read_only_root = policy.scratch_bytes == 0;
  expectation.scratch_bytes = policy.scratch_bytes;
  expectation.memory_cgroup = std::move(given.cgroup);
  expectation.undumpable = policy.undumpable;
  expectation.max_file_bytes = policy.max_file_bytes;
  if (policy.root != RootKind::View) return expectation;
  expectation.any_program = true;
  expectation.own_network = policy.network != NetworkAccessMode::Full;
  expectation.view = policy.view;
  return expectation;
}

Result<std::vector<ProofItem>> collect_proof(const ProofExpectation& expectation) {
  Inspector inspector(expectation);
  SYMBIONT_TRY_STATUS(inspector.read());
  inspector.privileges();
  if (expectation.own_namespaces) {
    inspector.namespaces();
    if (expectation.any_program) {
      inspector.view_mounts();
    } else {
      inspector.mounts();
      inspector.descriptors();
    }
  }
  inspector.surroundings();
  return inspector.take();
}

Status check_proof(const std::vector<ProofItem>& items) {
  std::string wrong;
  for (const auto& item : items) {
    if (item.holds) continue;
    wrong += (wrong.empty() ? "" : "; ") + item.name + ": expected " + item.expected + ", found " +
             item.found;
  }
  if (wrong.empty()) return {};
  return fail(ErrorCode::FailedPrecondition, "the process is not confined as asked: " + wrong);
}

}  // namespace symbiont::sandbox
