#include "ipc/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "ipc/messages.h"

namespace symbiont::ipc {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Pair {
  Channel left;
  Channel right;
};

std::array<UniqueFd, 2> socket_pair() {
  std::array<int, 2> fds{-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Pair make_pair() {
  auto fds = socket_pair();
  return {Channel(std::move(fds[0])), Channel(std::move(fds[1]))};
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    (void)entry;
    ++count;
  }
  return count;
}

Deadline soon() {
  return steady_clock::now() + milliseconds(20);
}

void send_raw(int fd, std::string_view bytes) {
  ASSERT_EQ(::write(fd, bytes.data(), bytes.size()), ssize_t(bytes.size()));
}

/// Sends `count` copies of `fd` with one frame, as no Channel would.
void send_descriptors(int socket, const Builder& builder, int fd, std::size_t count) {
  const std::uint32_t size = builder.GetSize();
  std::string bytes(4 + size, '\0');
  std::memcpy(bytes.data(), &size, 4);
  std::memcpy(bytes.data() + 4, builder.GetBufferPointer(), size);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 8)> control{};
  iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * count);
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(CMSG_DATA(header) + (i * sizeof(int)), &fd, sizeof fd);
  }
  ASSERT_EQ(::sendmsg(socket, &message, 0), ssize_t(bytes.size()));
}

TEST(Channel, CarriesFramesInOrder) {
  Pair pair = make_pair();
  Builder builder;
  for (std::uint64_t id = 1; id <= 3; ++id) {
    encode_token(builder, id, "text");
    ASSERT_TRUE(pair.left.send(builder).has_value());
  }
  for (std::uint64_t id = 1; id <= 3; ++id) {
    const auto frame = pair.right.receive(soon());
    ASSERT_TRUE(frame.has_value()) << frame.error().message();
    EXPECT_EQ(frame.value()->body_as_Token()->id(), id);
  }
  EXPECT_FALSE(pair.right.has_input());
}

TEST(Channel, PlainIoCarriesALargeFrame) {
  Pair pair = make_pair();
  pair.left.use_plain_io();
  pair.right.use_plain_io();
  const std::string text(2U << 20U, 'x');
  std::jthread sender([&] {
    Builder builder;
    encode_token(builder, 1, text);
    EXPECT_TRUE(pair.left.send(builder).has_value());
  });
  const auto frame = pair.right.receive(std::nullopt);
  ASSERT_TRUE(frame.has_value()) << frame.error().message();
  EXPECT_EQ(read_token_text(*frame.value()->body_as_Token()), text);
}

TEST(Channel, TimeRunsOutAndTheFrameStillArrives) {
  Pair pair = make_pair();
  Builder builder;
  encode_cancel(builder, 9);
  std::string bytes(4 + builder.GetSize(), '\0');
  bytes[0] = static_cast<char>(builder.GetSize());
  std::memcpy(bytes.data() + 4, builder.GetBufferPointer(), builder.GetSize());
  send_raw(pair.left.fd(), bytes.substr(0, 10));
  auto frame = pair.right.receive(soon());
  ASSERT_FALSE(frame.has_value());
  EXPECT_EQ(frame.error().code(), ErrorCode::DeadlineExceeded);
  send_raw(pair.left.fd(), bytes.substr(10));
  frame = pair.right.receive(soon());
  ASSERT_TRUE(frame.has_value()) << frame.error().message();
  EXPECT_EQ(frame.value()->body_as_Cancel()->id(), 9U);
}

TEST(Channel, EndOfFileIsUnavailable) {
  auto fds = socket_pair();
  Channel right(std::move(fds[1]));
  send_raw(fds[0].get(), std::string_view("\x20\0\0\0half", 8));
  fds[0].reset();
  const auto frame = right.receive(std::nullopt);
  ASSERT_FALSE(frame.has_value());
  EXPECT_EQ(frame.error().code(), ErrorCode::Unavailable);
  Builder builder;
  encode_locked(builder);
  EXPECT_EQ(right.send(builder).error().code(), ErrorCode::Unavailable);
}

TEST(Channel, SendToAClosedPeerRaisesNoSignal) {
  auto fds = socket_pair();
  Channel left(std::move(fds[0]));
  fds[1].reset();
  Builder builder;
  encode_locked(builder);
  const auto status = left.send(builder);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code(), ErrorCode::Unavailable);
}

TEST(Channel, SendGivesUpOnAPeerThatDoesNotRead) {
  Pair pair = make_pair();
  Builder builder;
  encode_token(builder, 1, std::string(3U << 20U, 'x'));
  const auto status = pair.left.send(builder, -1, soon());
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code(), ErrorCode::DeadlineExceeded);
}

TEST(Channel, AnnouncedLengthIsBounded) {
  for (const std::string_view header :
       {std::string_view("\xff\xff\xff\xff", 4), std::string_view("\x01\0\x40\0", 4),
        std::string_view("\x07\0\0\0", 4)}) {
    Pair pair = make_pair();
    send_raw(pair.left.fd(), header);
    const auto frame = pair.right.receive(soon());
    ASSERT_FALSE(frame.has_value());
    EXPECT_EQ(frame.error().code(), ErrorCode::DataCorrupt);
    EXPECT_EQ(pair.right.receive(soon()).error().code(), ErrorCode::Unavailable);
  }
}

TEST(Channel, RefusesToSendMoreThanAFrameMayHold) {
  Pair pair = make_pair();
  Builder builder;
  encode_token(builder, 1, std::string(kMaxFrameBytes, 'x'));
  EXPECT_EQ(pair.left.send(builder).error().code(), ErrorCode::InvalidArgument);
  encode_token(builder, 1, "fits");
  EXPECT_TRUE(pair.left.send(builder).has_value());
}

TEST(Channel, PassesOneDescriptorCloseOnExec) {
  Pair pair = make_pair();
  const UniqueFd file(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Builder builder;
  encode_load(builder, {.context_tokens = 64, .threads = 2});
  ASSERT_TRUE(pair.left.send(builder, file.get()).has_value());
  const auto frame = pair.right.receive(soon(), true);
  ASSERT_TRUE(frame.has_value()) << frame.error().message();
  EXPECT_EQ(frame.value()->body_as_Load()->threads(), 2);
  const UniqueFd got = pair.right.take_fd();
  ASSERT_TRUE(got.is_valid());
  EXPECT_EQ(::fcntl(got.get(), F_GETFD), FD_CLOEXEC);
  char byte = 1;
  EXPECT_EQ(::read(got.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 0);
}

TEST(Channel, UnexpectedDescriptorsLeaveNothingOpen) {
  Pair pair = make_pair();
  const UniqueFd file(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Builder builder;
  encode_locked(builder);
  const std::size_t before = open_descriptors();
  send_descriptors(pair.left.fd(), builder, file.get(), 1);
  const auto frame = pair.right.receive(soon());
  ASSERT_TRUE(frame.has_value()) << frame.error().message();
  EXPECT_FALSE(pair.right.take_fd().is_valid());
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Channel, SeveralDescriptorsAreRefusedAndClosed) {
  for (const std::size_t count : {2U, 6U}) {
    Pair pair = make_pair();
    const UniqueFd file(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    Builder builder;
    encode_locked(builder);
    const std::size_t before = open_descriptors();
    send_descriptors(pair.left.fd(), builder, file.get(), count);
    const auto frame = pair.right.receive(soon(), true);
    ASSERT_FALSE(frame.has_value());
    EXPECT_EQ(frame.error().code(), ErrorCode::DataCorrupt);
    EXPECT_EQ(open_descriptors(), before);
  }
}

TEST(Channel, FramesOfOneWriteArriveOneByOne) {
  Pair pair = make_pair();
  Builder builder;
  for (std::uint64_t id = 1; id <= 300; ++id) {  // some of them lie across the end of a read
    encode_token(builder, id, "text");
    ASSERT_TRUE(pair.left.send_later(builder).has_value());
  }
  EXPECT_FALSE(pair.right.has_input()) << "sent before it was asked for";
  ASSERT_TRUE(pair.left.flush().has_value());
  for (std::uint64_t id = 1; id <= 300; ++id) {
    EXPECT_TRUE(pair.right.has_input());
    const auto frame = pair.right.receive(soon());
    ASSERT_TRUE(frame.has_value()) << frame.error().message();
    EXPECT_EQ(frame.value()->body_as_Token()->id(), id);
    EXPECT_EQ(read_token_text(*frame.value()->body_as_Token()), "text");
  }
  EXPECT_FALSE(pair.right.has_read_ahead());
  EXPECT_FALSE(pair.right.has_input());
}

TEST(Channel, SendComesAfterWhatWasToBeSentLater) {
  Pair pair = make_pair();
  Builder builder;
  encode_token(builder, 1, "first");
  ASSERT_TRUE(pair.left.send_later(builder).has_value());
  encode_token(builder, 2, "second");
  ASSERT_TRUE(pair.left.send(builder).has_value());
  for (const std::uint64_t id : {1U, 2U})
    EXPECT_EQ(pair.right.receive(soon()).value()->body_as_Token()->id(), id);
}

TEST(Channel, WhatWaitsToBeSentIsBounded) {
  Pair pair = make_pair();
  Builder builder;
  encode_token(builder, 1, std::string(kMaxUnsentBytes, 'x'));
  ASSERT_TRUE(pair.left.send_later(builder).has_value());
  EXPECT_TRUE(pair.right.has_input());
}

TEST(Channel, WhatWaitsForAPeerThatIsGoneIsAnError) {
  auto fds = socket_pair();
  Channel left(std::move(fds[0]));
  fds[1].reset();
  EXPECT_TRUE(left.flush().has_value()) << "nothing waits";
  Builder builder;
  encode_locked(builder);
  ASSERT_TRUE(left.send_later(builder).has_value());
  EXPECT_EQ(left.flush().error().code(), ErrorCode::Unavailable);
  EXPECT_EQ(left.send_later(builder).error().code(), ErrorCode::Unavailable);
}

TEST(Channel, ADescriptorGoesWithItsOwnFrame) {
  Pair pair = make_pair();
  const UniqueFd file(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Builder builder;
  encode_locked(builder);
  ASSERT_TRUE(pair.left.send_later(builder).has_value());
  encode_load(builder, {.context_tokens = 64, .threads = 2});
  ASSERT_TRUE(pair.left.send(builder, file.get()).has_value());
  ASSERT_TRUE(pair.right.receive(soon(), true).has_value());
  EXPECT_FALSE(pair.right.take_fd().is_valid());
  ASSERT_TRUE(pair.right.receive(soon(), true).has_value());
  EXPECT_TRUE(pair.right.take_fd().is_valid());
}

TEST(Channel, MalformedFramesAreFoundBehindGoodOnes) {
  Pair pair = make_pair();
  Builder builder;
  encode_cancel(builder, 9);
  std::string bytes(4, '\0');
  bytes[0] = static_cast<char>(builder.GetSize());
  bytes.append(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
  send_raw(pair.left.fd(), bytes + std::string_view("\xff\xff\xff\xff", 4).data());
  ASSERT_TRUE(pair.right.receive(soon()).has_value());
  EXPECT_EQ(pair.right.receive(soon()).error().code(), ErrorCode::DataCorrupt);
}

}  // namespace
}  // namespace symbiont::ipc
