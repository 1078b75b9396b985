#include "sandbox/view.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>

namespace symbiont::sandbox {
namespace {

namespace fs = std::filesystem;

// Where distributions keep programs and libraries; a link on a merged-/usr system.
constexpr std::array<const char*, 7> kSystemTrees = {"/usr",   "/bin",   "/sbin",  "/lib",
                                                     "/lib32", "/lib64", "/libx32"};
// What the loader, time and TLS of nearly every program read. Nothing of it is secret.
constexpr std::array<const char*, 6> kSystemFiles = {
    "/etc/ld.so.cache", "/etc/alternatives",  "/etc/localtime",
    "/etc/ssl/certs",   "/etc/nsswitch.conf", "/usr/share/ca-certificates"};
constexpr std::array<const char*, 5> kDevices = {"/dev/null", "/dev/zero", "/dev/full",
                                                 "/dev/random", "/dev/urandom"};

constexpr const char* kScratchPath = "/tmp";

bool is_within(std::string_view path, std::string_view directory) {
  if (directory == "/") return true;
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

struct Located {
  std::string literal;    ///< as written, lexically normal
  std::string canonical;  ///< without links
  bool directory = true;
};

/// `field` and the path stand in every error.
Result<Located> locate(const fs::path& path, std::string_view field) {
  const auto wrong = [&](const std::string& why) {
    return fail(ErrorCode::InvalidArgument,
                std::string(field) + " '" + path.string() + "': " + why);
  };
  if (path.string().find('\0') != std::string::npos) return wrong("holds a NUL byte");
  if (!path.is_absolute()) return wrong("must be absolute");
  std::string literal = path.lexically_normal().string();
  while (literal.size() > 1 && literal.ends_with('/'))
    literal.pop_back();
  std::error_code error;
  const fs::path canonical = fs::canonical(literal, error);
  if (error) return wrong(error.message());
  if (canonical == "/" || literal == "/")
    return wrong("would show the whole host; name the directories");
  struct stat info{};
  if (::stat(canonical.c_str(), &info) != 0) return wrong(errno_text(errno));
  if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) return wrong("is no directory and no file");
  return Located{std::move(literal), canonical.string(), S_ISDIR(info.st_mode)};
}

/// Gathers entries; what is denied wins, writable wins over read-only.
class Builder {
 public:
  Status deny(const fs::path& path) {
    SYMBIONT_TRY(Located at, locate(path, "denied_paths"));
    denied_.push_back(std::move(at));
    return {};
  }

  Status allow(const fs::path& path, std::string_view field, bool writable) {
    const std::string literal = path.lexically_normal().string();
    if (literal == "/proc" || literal == "/proc/") {
      if (writable)
        return fail(ErrorCode::InvalidArgument, "write_paths '/proc': can only be a read path");
      entries_.push_back({.kind = ViewKind::Proc, .source = "proc", .target = "/proc"});
      return {};
    }
    SYMBIONT_TRY(const Located at, locate(path, field));
    if (is_within(at.canonical, "/proc"))
      return fail(ErrorCode::InvalidArgument,
                  std::string(field) + " '" + literal + "': name '/proc' itself");
    if (const Located* denied = denied_above(at.canonical))
      return fail(
          ErrorCode::InvalidArgument,
          std::string(field) + " '" + literal + "' lies in denied_paths '" + denied->literal + "'");
    add({.source = at.canonical,
         .target = at.canonical,
         .directory = at.directory,
         .writable = writable,
         .executable = !writable,
         .own = true});
    link(at);
    return {};
  }

  void allow_system() {
    for (const char* tree : kSystemTrees)
      allow_if_present(tree, true);
    for (const char* file : kSystemFiles)
      allow_if_present(file, false);
    for (const char* device : kDevices)
      add({.kind = ViewKind::Device, .source = device, .target = device, .directory = false});
  }

  void allow_program(const fs::path& program) {
    const auto at = locate(program, "program");
    if (!at || denied_above(at->canonical) != nullptr) return;  // exec then says what is missing
    if (!holds(at->canonical))
      add({.source = at->canonical,
           .target = at->canonical,
           .directory = at->directory,
           .executable = true,
           .own = true});
    link(*at);
  }

  Status add_scratch() {
    const bool taken = std::ranges::any_of(
        entries_, [](const ViewEntry& entry) { return entry.target == kScratchPath; });
    if (taken)
      return fail(
          ErrorCode::InvalidArgument,
          "allow_temp_files puts its own '/tmp' in the place of the '/tmp' among the paths");
    entries_.push_back({.kind = ViewKind::Scratch, .target = kScratchPath, .writable = true});
    add({.kind = ViewKind::Symlink, .source = kScratchPath, .target = "/dev/shm"});
    return {};
  }

  std::vector<ViewEntry> finish() {
    for (const Located& at : denied_) {
      if (!holds(at.canonical)) continue;
      pin_parents(at.canonical);
      entries_.push_back(
          {.kind = ViewKind::Cover, .target = at.canonical, .directory = at.directory});
    }
    // Links last of all: a link's parent may be a directory that a later mount brings.
    std::ranges::stable_sort(entries_, {}, [](const ViewEntry& entry) {
      return std::pair(entry.kind == ViewKind::Symlink, entry.target);
    });
    return std::move(entries_);
  }

 private:
  /// Whether a tree among the entries holds `path`.
  [[nodiscard]] bool holds(std::string_view path) const {
    return std::ranges::any_of(entries_, [&](const ViewEntry& entry) {
      return entry.kind == ViewKind::Tree && is_within(path, entry.target);
    });
  }

  [[nodiscard]] const Located* denied_above(std::string_view path) const {
    const auto at = std::ranges::find_if(
        denied_, [&](const Located& denied) { return is_within(path, denied.canonical); });
    return at == denied_.end() ? nullptr : &*at;
  }

  /// Makes a mount of each directory between a write path and a denied path in it: a mount cannot
  /// be renamed, so what is denied keeps its name for the next start.
  void pin_parents(const fs::path& denied) {
    const auto tree = std::ranges::find_if(entries_, [&](const ViewEntry& entry) {
      return entry.kind == ViewKind::Tree && entry.writable &&
             is_within(denied.string(), entry.target);
    });
    if (tree == entries_.end()) return;
    const std::string top = tree->target;
    for (fs::path at = denied.parent_path(); at != top && is_within(at.string(), top);
         at = at.parent_path()) {
      const bool inner_read_only = std::ranges::any_of(entries_, [&](const ViewEntry& entry) {
        return entry.kind == ViewKind::Tree && !entry.writable && entry.target != top &&
               is_within(entry.target, top) && is_within(at.string(), entry.target);
      });
      if (inner_read_only) continue;  // nothing in it can be renamed
      add({.source = at.string(), .target = at.string(), .writable = true, .own = true});
    }
  }

  void add(ViewEntry entry) {
    const auto same = std::ranges::find_if(entries_, [&](const ViewEntry& other) {
      return other.target == entry.target && other.kind == entry.kind;
    });
    if (same == entries_.end()) {
      entries_.push_back(std::move(entry));
      return;
    }
    same->own = same->own || entry.own;
    if (!entry.writable) return;
    same->writable = true;
    same->executable = false;
  }

  void link(const Located& at) {
    if (at.literal == at.canonical) return;
    add({.kind = ViewKind::Symlink, .source = at.canonical, .target = at.literal});
  }

  void allow_if_present(const char* path, bool executable) {
    const auto at = locate(path, "system");
    if (!at || denied_above(at->canonical) != nullptr) return;
    if (!holds(at->canonical))
      add({.source = at->canonical,
           .target = at->canonical,
           .directory = at->directory,
           .executable = executable});
    link(*at);
  }

  std::vector<Located> denied_;
  std::vector<ViewEntry> entries_;
};

}  // namespace

Result<std::vector<ViewEntry>> build_view(const FilesystemPolicy& policy, const fs::path& program) {
  Builder builder;
  for (const fs::path& path : policy.denied_paths)
    SYMBIONT_TRY_STATUS(builder.deny(path));
  builder.allow_system();
  for (const fs::path& path : policy.read_paths)
    SYMBIONT_TRY_STATUS(builder.allow(path, "read_paths", false));
  for (const fs::path& path : policy.write_paths)
    SYMBIONT_TRY_STATUS(builder.allow(path, "write_paths", true));
  builder.allow_program(program);
  if (policy.allow_temp_files) SYMBIONT_TRY_STATUS(builder.add_scratch());
  std::vector<ViewEntry> entries = builder.finish();
  if (entries.size() > kMaxViewEntries)
    return fail(ErrorCode::ResourceExhausted,
                "a profile shows at most " + std::to_string(kMaxViewEntries) + " paths, this one " +
                    std::to_string(entries.size()));
  return entries;
}

std::vector<ViewEntry> gpu_entries() {
  std::vector<ViewEntry> entries;
  const auto add_nodes = [&](const fs::path& directory, std::string_view prefix) {
    std::error_code error;
    for (const auto& node : fs::directory_iterator(directory, error)) {
      if (!node.path().filename().string().starts_with(prefix) || !node.is_character_file(error))
        continue;
      entries.push_back({.kind = ViewKind::Device,
                         .source = node.path().string(),
                         .target = node.path().string(),
                         .directory = false});
    }
  };
  add_nodes("/dev", "nvidia");
  add_nodes("/dev", "kfd");
  add_nodes("/dev/dri", "");
  std::ranges::sort(entries, {}, &ViewEntry::target);
  return entries;
}

bool shows(const std::vector<ViewEntry>& view, std::string_view path, bool writing) {
  constexpr int kMaxLinks = 8;
  std::string at(path);
  for (int links = 0; links < kMaxLinks; ++links) {
    const auto link = std::ranges::find_if(view, [&](const ViewEntry& entry) {
      return entry.kind == ViewKind::Symlink && is_within(at, entry.target);
    });
    if (link == view.end()) break;
    at.replace(0, link->target.size(), link->source);
  }
  const ViewEntry* nearest = nullptr;
  for (const ViewEntry& entry : view) {
    // The directories on the way to what is shown are there too.
    if (!writing && entry.target != at && is_within(entry.target, at)) return true;
    if (entry.kind == ViewKind::Symlink || !is_within(at, entry.target)) continue;
    if (nearest == nullptr || entry.target.size() >= nearest->target.size()) nearest = &entry;
  }
  if (nearest == nullptr || nearest->kind == ViewKind::Cover) return false;
  return !writing || nearest->writable || nearest->kind == ViewKind::Device;
}

bool is_covered(const std::vector<ViewEntry>& view, std::string_view path) {
  return std::ranges::any_of(view, [&](const ViewEntry& entry) {
    return entry.kind == ViewKind::Cover && is_within(path, entry.target);
  });
}

}  // namespace symbiont::sandbox
