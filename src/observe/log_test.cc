#include "observe/log.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <sstream>
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

TEST_F(LogTest, NobodyWaitsForWhoReadsIt) {
  const std::string large(1000, 'x');
  const std::size_t more_than_fits = 2 * kMaxWaitingLogBytes / large.size();
  for (std::size_t i = 0; i < more_than_fits; ++i)
    log_->info("request", {{"number", i}, {"more", large}});
  // It comes back here, all the same. What fitted is read, and how much did not: in several lines,
  // when the writer found room meanwhile.
  std::size_t read = 0;
  std::size_t lost = 0;
  std::string text;
  while (read + lost < more_than_fits) {
    std::array<char, 65'536> buffer{};
    const ssize_t count = ::read(read_end_.get(), buffer.data(), buffer.size());
    ASSERT_GT(count, 0);
    text.append(buffer.data(), static_cast<std::size_t>(count));
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      const Json json = Json::parse(text.substr(0, end));
      text.erase(0, end + 1);
      if (json["event"] == "request") ++read;
      if (json["event"] == "log_lines_lost") lost += json["lines"].get<std::size_t>();
    }
  }
  EXPECT_GT(read, 0U);
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(read + lost, more_than_fits);
}

TEST_F(LogTest, WhatAFullDiskRefusesIsCounted) {
  // A file at its greatest size refuses as a full disk does, and says so by a signal.
  static sem_t refused;
  ASSERT_EQ(::sem_init(&refused, 0, 0), 0);
  ASSERT_NE(::signal(SIGXFSZ, [](int) { (void)::sem_post(&refused); }), SIG_ERR);
  const UniqueFd file(::memfd_create("log", MFD_CLOEXEC));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EventLog log(file.get());
  log.info("request", {{"more", std::string(200, 'x')}});
  ASSERT_EQ(::sem_wait(&refused), 0);
  log.info("request");  // and what would have told of the first one
  ASSERT_EQ(::sem_wait(&refused), 0);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  log.info("later");
  log.close();
  std::string text(4096, '\0');
  text.resize(static_cast<std::size_t>(::pread(file.get(), text.data(), text.size(), 0)));
  std::istringstream lines(text);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line.size(), 100U);  // torn
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(Json::parse(line)["event"], "later");
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(Json::parse(line)["event"], "log_lines_lost");
  EXPECT_EQ(Json::parse(line)["lines"], 2);
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(LogTest, WhatWaitsIsWrittenAtTheEnd) {
  for (int i = 0; i < 100; ++i)
    log_->info("request", {{"number", i}});
  log_.reset();
  write_end_.reset();
  std::string text(65'536, '\0');
  std::size_t have = 0;
  ssize_t count = 1;
  while ((count = ::read(read_end_.get(), text.data() + have, text.size() - have)) > 0)
    have += static_cast<std::size_t>(count);
  text.resize(have);
  EXPECT_EQ(std::ranges::count(text, '\n'), 100);
}

TEST_F(LogTest, TheEndDoesNotWaitForeverForAReader) {
  for (int i = 0; i < 200; ++i)
    log_->info("request", {{"more", std::string(1000, 'x')}});  // more than a pipe holds
  const auto begin = std::chrono::steady_clock::now();
  log_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
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
