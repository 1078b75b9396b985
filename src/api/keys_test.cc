#include "api/keys.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"

namespace symbiont::api {
namespace {

class KeysTest : public ::testing::Test {
 protected:
  KeysTest() {
    std::string name = ::testing::TempDir() + "keysXXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ / "keys.json";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  NewKey make(const std::string& agent, std::optional<std::chrono::seconds> lifetime = {}) {
    auto made = add_key(path_, agent, Scopes().with(Scope::Inference), lifetime);
    EXPECT_TRUE(made.has_value());
    return made.has_value() ? *made : NewKey{};
  }
  void write(const std::string& text) { std::ofstream(path_) << text; }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST_F(KeysTest, TheFileHoldsNoKey) {
  const NewKey made = make("ann");
  EXPECT_TRUE(made.key.starts_with("sym-"));
  EXPECT_EQ(made.key.size(), 4U + 43U);
  const auto text = read_file(path_, 1 << 20);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->find(made.key.substr(4)), std::string::npos);
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(KeysTest, FindsTheHolder) {
  const NewKey ann = make("ann");
  const NewKey bob = make("bob");
  EXPECT_NE(ann.key, bob.key);
  KeyStore store(path_);
  const auto found = store.find(bob.key, 0);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->agent, "bob");
  EXPECT_TRUE(found->scopes.has(Scope::Inference));
  EXPECT_FALSE(found->scopes.has(Scope::Admin));
  for (const std::string& wrong : {std::string(), std::string("sym-"), bob.key + "x",
                                   bob.key.substr(0, bob.key.size() - 1), ann.record.id}) {
    EXPECT_EQ(store.find(wrong, 0).error(), KeyStore::Refused::Unknown) << wrong;
  }
}

TEST_F(KeysTest, RevocationActsAtOnce) {
  const NewKey ann = make("ann");
  KeyStore store(path_);
  EXPECT_TRUE(store.find(ann.key, 0).has_value());
  ASSERT_TRUE(revoke_key(path_, ann.record.id).has_value());
  EXPECT_EQ(store.find(ann.key, 0).error(), KeyStore::Refused::Unknown);
  EXPECT_EQ(revoke_key(path_, ann.record.id).error().code(), ErrorCode::NotFound);
  const NewKey again = make("ann");
  EXPECT_TRUE(store.find(again.key, 0).has_value());
}

TEST_F(KeysTest, KeysExpire) {
  const NewKey ann = make("ann", std::chrono::seconds(10));
  KeyStore store(path_);
  EXPECT_TRUE(store.find(ann.key, ann.record.created + 9).has_value());
  EXPECT_EQ(store.find(ann.key, ann.record.created + 10).error(), KeyStore::Refused::Expired);
}

TEST_F(KeysTest, AFileThatCannotBeReadLetsNobodyIn) {
  const NewKey ann = make("ann");
  KeyStore store(path_);
  EXPECT_TRUE(store.find(ann.key, 0).has_value());
  write("{\"version\": 1, \"keys\": [{}]}");
  EXPECT_EQ(store.find(ann.key, 0).error(), KeyStore::Refused::Unreadable);
  EXPECT_TRUE(store.take_problem().has_value());
  EXPECT_EQ(store.find(ann.key, 0).error(), KeyStore::Refused::Unreadable);
  EXPECT_FALSE(store.take_problem().has_value());
  std::filesystem::remove(path_);
  EXPECT_EQ(store.find(ann.key, 0).error(), KeyStore::Refused::Unknown);
}

TEST_F(KeysTest, RefusesAFileItDoesNotUnderstand) {
  const NewKey ann = make("ann");
  const auto good = read_file(path_, 1 << 20);
  ASSERT_TRUE(good.has_value());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = *good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  for (const std::string& bad :
       {with("\"version\": 1", "\"version\": 2"), with("inference", "inferenc"),
        with("\"agent\"", "\"agents\""), with("\"ann\"", "\"\""),
        with("\"sha256\": \"", "\"sha256\": \"x"), std::string("[]"), std::string()}) {
    write(bad);
    EXPECT_EQ(read_keys(path_).error().code(), ErrorCode::DataCorrupt) << bad;
  }
}

TEST(ScopesTest, TextThereAndBack) {
  EXPECT_EQ(to_string(Scopes::all()), "inference,read,admin");
  EXPECT_EQ(parse_scopes("admin,inference"), Scopes().with(Scope::Inference).with(Scope::Admin));
  for (const std::string_view bad : {"", ",", "inference,", "all", "inference, read"})
    EXPECT_EQ(parse_scopes(bad), std::nullopt) << bad;
  EXPECT_TRUE(Scopes().has(Scope::Public));
  EXPECT_FALSE(Scopes().has(Scope::Read));
}

}  // namespace
}  // namespace symbiont::api
