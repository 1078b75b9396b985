#include "sandbox/view.h"

#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

namespace symbiont::sandbox {
namespace {

namespace fs = std::filesystem;

FilesystemPolicy paths(std::vector<fs::path> read,
                       std::vector<fs::path> write = {},
                       std::vector<fs::path> denied = {},
                       bool temp_files = false) {
  FilesystemPolicy policy;
  policy.read_paths = std::move(read);
  policy.write_paths = std::move(write);
  policy.denied_paths = std::move(denied);
  policy.allow_temp_files = temp_files;
  return policy;
}

class View : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "symbiont-view-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = fs::canonical(name);
    fs::create_directories(root_ / "data" / "secret");
    std::ofstream(root_ / "data" / "file") << "text";
    fs::create_symlink(root_ / "data", root_ / "link");
  }
  void TearDown() override { fs::remove_all(root_); }

  [[nodiscard]] std::string error_of(const FilesystemPolicy& policy) const {
    const auto view = build_view(policy, "/bin/sh");
    return view.has_value() ? "" : view.error().message();
  }
  static const ViewEntry* find(const std::vector<ViewEntry>& view, const fs::path& target) {
    for (const ViewEntry& entry : view)
      if (entry.target == target) return &entry;
    return nullptr;
  }
  fs::path root_;
};

TEST_F(View, HoldsTheSystemAndNothingElseOfTheHost) {
  const auto view = build_view({}, "/bin/sh");
  ASSERT_TRUE(view.has_value());
  EXPECT_TRUE(shows(*view, "/usr/bin/env", false));
  EXPECT_TRUE(shows(*view, "/bin/sh", false));
  EXPECT_TRUE(shows(*view, "/dev/null", true));
  for (const char* hidden : {"/etc/shadow", "/root/.ssh/id_rsa", "/proc/1/environ", "/sys/kernel",
                             "/dev/mem", "/home/user/file", "/run/dbus"})
    EXPECT_FALSE(shows(*view, hidden, false)) << hidden;
  EXPECT_FALSE(shows(*view, "/usr/bin/env", true));
}

TEST_F(View, ReadPathsMayBeExecutedAndWritePathsNot) {
  const auto view = build_view(paths({root_ / "data"}, {root_ / "data/secret"}), "/bin/sh");
  ASSERT_TRUE(view.has_value());
  const ViewEntry* read = find(*view, root_ / "data");
  const ViewEntry* write = find(*view, root_ / "data/secret");
  ASSERT_TRUE(read != nullptr && write != nullptr);
  EXPECT_TRUE(read->executable && !read->writable);
  EXPECT_TRUE(write->writable && !write->executable);
  EXPECT_LT(read, write);  // a parent is mounted before what lies in it
  EXPECT_TRUE(shows(*view, (root_ / "data/secret/new").string(), true));
  EXPECT_FALSE(shows(*view, (root_ / "data/file").string(), true));
}

TEST_F(View, DeniedChildOfAnAllowedDirectoryIsCovered) {
  const auto view = build_view(paths({root_ / "data"}, {}, {root_ / "data/secret"}), "/bin/sh");
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(find(*view, root_ / "data/secret")->kind, ViewKind::Cover);
  EXPECT_FALSE(shows(*view, (root_ / "data/secret").string(), false));
  EXPECT_FALSE(shows(*view, (root_ / "data/secret/key").string(), false));
  EXPECT_TRUE(is_covered(*view, (root_ / "data/secret/key").string()));
  EXPECT_TRUE(shows(*view, (root_ / "data/file").string(), false));
}

TEST_F(View, DirectoriesOnTheWayAreThereButNotWhatLiesBeside) {
  const auto view = build_view(paths({root_ / "data/file"}), "/bin/sh");
  ASSERT_TRUE(view.has_value());
  EXPECT_TRUE(shows(*view, "/", false));
  EXPECT_TRUE(shows(*view, (root_ / "data").string(), false));
  EXPECT_FALSE(shows(*view, (root_ / "data").string(), true));
  EXPECT_FALSE(shows(*view, (root_ / "data/secret").string(), false));
}

TEST_F(View, DirectoriesBetweenAWritePathAndADeniedOneAreMountsThatCannotBeRenamed) {
  fs::create_directories(root_ / "data/a/b/secret");
  const auto view = build_view(paths({}, {root_ / "data"}, {root_ / "data/a/b/secret"}), "/bin/sh");
  ASSERT_TRUE(view.has_value());
  for (const char* between : {"data/a", "data/a/b"}) {
    const ViewEntry* entry = find(*view, root_ / between);
    ASSERT_NE(entry, nullptr) << between;
    EXPECT_TRUE(entry->kind == ViewKind::Tree && entry->writable && !entry->executable);
  }
  EXPECT_EQ(find(*view, root_ / "data/a/b/secret")->kind, ViewKind::Cover);
}

TEST_F(View, LinkIsDeniedByWhatItLeadsTo) {
  const auto view = build_view(paths({root_ / "data"}, {}, {root_ / "link/secret"}), "/bin/sh");
  ASSERT_TRUE(view.has_value());
  EXPECT_FALSE(shows(*view, (root_ / "data/secret/key").string(), false));
}

TEST_F(View, LinkInAPathStaysALink) {
  const auto view = build_view(paths({root_ / "link"}), "/bin/sh");
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(find(*view, root_ / "link")->kind, ViewKind::Symlink);
  EXPECT_EQ(find(*view, root_ / "link")->source, root_ / "data");
  EXPECT_TRUE(shows(*view, (root_ / "link/file").string(), false));
}

TEST_F(View, ErrorsNameThePath) {
  const fs::path missing = root_ / "missing";
  EXPECT_EQ(error_of(paths({missing})),
            "read_paths '" + missing.string() + "': No such file or directory");
  EXPECT_EQ(error_of(paths({}, {"relative"})), "write_paths 'relative': must be absolute");
  EXPECT_EQ(error_of(paths({"/"})),
            "read_paths '/': would show the whole host; name the directories");
  EXPECT_EQ(error_of(paths({"/proc/1"})), "read_paths '/proc/1': name '/proc' itself");
  EXPECT_EQ(error_of(paths({}, {"/proc"})), "write_paths '/proc': can only be a read path");
  EXPECT_EQ(error_of(paths({"/dev/null"})), "read_paths '/dev/null': is no directory and no file");
  EXPECT_EQ(error_of(paths({root_ / "data/secret"}, {}, {root_ / "data"})),
            "read_paths '" + (root_ / "data/secret").string() + "' lies in denied_paths '" +
                (root_ / "data").string() + "'");
}

TEST_F(View, TemporaryFilesAndATmpAmongThePathsExcludeEachOther) {
  EXPECT_NE(error_of(paths({"/tmp"}, {}, {}, true)), "");
  const auto view = build_view(paths({}, {}, {}, true), "/bin/sh");
  ASSERT_TRUE(view.has_value());
  EXPECT_TRUE(shows(*view, "/tmp/x", true));
  EXPECT_TRUE(shows(*view, "/dev/shm/x", true));
}

}  // namespace
}  // namespace symbiont::sandbox
