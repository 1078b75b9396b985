#include "base/result.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace symbiont {
namespace {

ErrorCode code_for(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
      return ErrorCode::NotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::PermissionDenied;
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return ErrorCode::InvalidArgument;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::ResourceExhausted;
    case ENOSYS:
    case EOPNOTSUPP:
      return ErrorCode::FailedPrecondition;
    case ETIMEDOUT:
      return ErrorCode::DeadlineExceeded;
    case EPIPE:
    case ECONNRESET:
    case EAGAIN:
      return ErrorCode::Unavailable;
    default:
      return ErrorCode::Internal;
  }
}

}  // namespace

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return "InvalidArgument";
    case ErrorCode::NotFound:
      return "NotFound";
    case ErrorCode::PermissionDenied:
      return "PermissionDenied";
    case ErrorCode::FailedPrecondition:
      return "FailedPrecondition";
    case ErrorCode::ResourceExhausted:
      return "ResourceExhausted";
    case ErrorCode::DeadlineExceeded:
      return "DeadlineExceeded";
    case ErrorCode::Cancelled:
      return "Cancelled";
    case ErrorCode::DataCorrupt:
      return "DataCorrupt";
    case ErrorCode::Unavailable:
      return "Unavailable";
    case ErrorCode::Internal:
      return "Internal";
  }
  return "Internal";
}

Error Error::with_context(std::string_view context) const& {
  return Error(*this).with_context(context);
}

Error Error::with_context(std::string_view context) && {
  message_.insert(0, std::string(context) + ": ");
  return std::move(*this);
}

std::string errno_text(int error_number) {
  std::array<char, 256> buffer{};
  return strerror_r(error_number, buffer.data(), buffer.size());  // GNU variant
}

Error errno_error(std::string_view what, int error_number) {
  return {code_for(error_number), std::string(what) + ": " + errno_text(error_number),
          error_number};
}

Error errno_error(std::string_view what) {
  return errno_error(what, errno);
}

void check_failed(const char* condition, const char* text, const char* file, int line) {
  (void)std::fprintf(stderr, "%s:%d: %s (%s is false); this is a bug\n", file, line, text,
                     condition);
  std::abort();
}

}  // namespace symbiont
