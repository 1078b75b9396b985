#include "broker/stream_filter.h"

#include <algorithm>

namespace symbiont::broker {
namespace {

constexpr std::size_t kMaxSizeDigits = 15;  // fits 64 bits with room

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::unexpected<Error> bad_chunk() {
  return fail(ErrorCode::InvalidArgument, "the chunked body is malformed");
}

}  // namespace

BodyFilter::BodyFilter(BodySize body)
    : state_(body.kind == BodyKind::Chunked ? State::Size : State::Counted), left_(body.bytes) {
  if (state_ == State::Counted && left_ == 0) state_ = State::Ended;
}

// One byte that is not body data.
Status BodyFilter::step(char c) {
  const auto expect = [&](char wanted, State next) -> Status {
    if (c != wanted) return bad_chunk();
    state_ = next;
    return {};
  };
  switch (state_) {
    case State::Size: {
      if (c == '\r' && digits_ > 0) {
        state_ = State::SizeLf;
        return {};
      }
      const int value = hex_value(c);
      if (value < 0 || ++digits_ > kMaxSizeDigits) return bad_chunk();
      left_ = left_ * 16 + static_cast<std::uint64_t>(value);
      return {};
    }
    case State::SizeLf:
      digits_ = 0;
      return expect('\n', left_ == 0 ? State::LastCr : State::Data);
    case State::DataCr:
      return expect('\r', State::DataLf);
    case State::DataLf:
      return expect('\n', State::Size);
    case State::LastCr:
      return expect('\r', State::LastLf);
    case State::LastLf:
      return expect('\n', State::Ended);
    case State::Counted:
    case State::Data:
    case State::Ended:
      break;
  }
  return bad_chunk();
}

Result<std::size_t> BodyFilter::take(std::string_view bytes) {
  std::size_t passed = 0;
  while (passed < bytes.size() && state_ != State::Ended) {
    if (state_ != State::Counted && state_ != State::Data) {
      SYMBIONT_TRY_STATUS(step(bytes[passed]));
      ++passed;
      continue;
    }
    const auto piece = std::min<std::uint64_t>(left_, bytes.size() - passed);
    passed += static_cast<std::size_t>(piece);
    left_ -= piece;
    if (left_ == 0) state_ = state_ == State::Counted ? State::Ended : State::DataCr;
  }
  return passed;
}

Result<std::size_t> TlsFilter::take(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size() && seen_ < kChecked; ++i, ++seen_) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const bool is_right = (seen_ == 0 && byte == 0x16) ||  // record of the handshake
                          (seen_ == 1 && byte == 0x03) ||  // version 3.x
                          (seen_ == 2 && byte <= 0x04) || seen_ == 3 || seen_ == 4 ||  // length
                          (seen_ == 5 && byte == 0x01);  // ClientHello
    if (!is_right) return fail(ErrorCode::InvalidArgument, "not TLS");
  }
  return bytes.size();
}

}  // namespace symbiont::broker
