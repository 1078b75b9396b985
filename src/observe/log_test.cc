#include "observe/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/unique_fd.h"

namespace symbiont::observe {
namespace {

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read_end_.reset(ends[0]);
    write_end_.reset(ends[1]);
    log_.emplace(write_end_.get());
  }
  Json line() {
    std::array<char, 4096> buffer{};
    const ssize_t count = ::read(read_end_.get(), buffer.data(), buffer.size());
    const std::string text(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    EXPECT_TRUE(text.ends_with('\n'));
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    return Json::parse(text);
  }

  UniqueFd read_end_;
  UniqueFd write_end_;
  std::optional<EventLog> log_;
};

TEST_F(LogTest, OneObjectALine) {
  log_->info("listening", {{"address", "line\nbreak"}});
  const Json json = line();
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["event"], "listening");
  EXPECT_EQ(json["address"], "line\nbreak");
  EXPECT_EQ(json["time"].get<std::string>().size(), std::string("2026-01-31T23:59:59.123Z").size());
}

TEST_F(LogTest, AnExecutionIsToldWithoutItsText) {
  LogObserver observer(*log_);
  ExecutionMetadata metadata;
  metadata.execution_id = "exec-1";
  metadata.agent = "ann";
  SlmRunnerError error(runner_error::ExecutionTimeout{std::chrono::milliseconds(5)});
  error.set_context("the secret answer", metadata);
  EXPECT_TRUE(observer.on_finished(metadata, &error));
  const Json json = line();
  EXPECT_EQ(json["execution_id"], "exec-1");
  EXPECT_EQ(json["outcome"], "ExecutionTimeout");
  EXPECT_EQ(json["level"], "warning");
  EXPECT_EQ(dump(json).find("secret"), std::string::npos);
}

TEST_F(LogTest, OnlyDenialsOfAccessAreTold) {
  LogObserver observer(*log_);
  const AccessRecord granted{.agent = "ann", .model_id = "m", .profile = "secure"};
  EXPECT_TRUE(observer.on_access(granted));
  const ModelCatalogError denied(ModelCatalogError::AccessDenied{"eve", "m", "not hers"});
  const AccessRecord record{.agent = "eve", .model_id = "m", .profile = "", .denied = &denied};
  EXPECT_TRUE(observer.on_access(record));
  EXPECT_EQ(line()["agent"], "eve");
}

}  // namespace
}  // namespace symbiont::observe
