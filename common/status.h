// Errors that a peer, a file, a configuration or the network can cause.
//
// Every function that can meet such an error returns Status or StatusOr<T>; the
// message names the offending thing, its value and what was expected. Numeric
// code may throw (LibTorch does); see CatchExceptions for the one place to stop
// that.
#ifndef TANDEM_COMMON_STATUS_H_
#define TANDEM_COMMON_STATUS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <spdlog/fmt/fmt.h>

#include <exception>
#include <string>
#include <type_traits>
#include <utility>

namespace tandem {

using absl::Status;
using absl::StatusCode;
using absl::StatusOr;

inline Status OkStatus() { return absl::OkStatus(); }

// One maker per code that Tandem uses: InvalidArgument("field '{}' is {}",
// name, value).
#define TANDEM_DEFINE_STATUS_MAKER(Name, Code)                       \
  template <typename... Args>                                        \
  Status Name(fmt::format_string<Args...> format, Args&&... args) {  \
    return Status(StatusCode::Code,                                  \
                  fmt::format(format, std::forward<Args>(args)...)); \
  }
TANDEM_DEFINE_STATUS_MAKER(Aborted, kAborted)
TANDEM_DEFINE_STATUS_MAKER(AlreadyExists, kAlreadyExists)
TANDEM_DEFINE_STATUS_MAKER(Cancelled, kCancelled)
TANDEM_DEFINE_STATUS_MAKER(DataLoss, kDataLoss)
TANDEM_DEFINE_STATUS_MAKER(DeadlineExceeded, kDeadlineExceeded)
TANDEM_DEFINE_STATUS_MAKER(FailedPrecondition, kFailedPrecondition)
TANDEM_DEFINE_STATUS_MAKER(Internal, kInternal)
TANDEM_DEFINE_STATUS_MAKER(InvalidArgument, kInvalidArgument)
TANDEM_DEFINE_STATUS_MAKER(NotFound, kNotFound)
TANDEM_DEFINE_STATUS_MAKER(OutOfRange, kOutOfRange)
TANDEM_DEFINE_STATUS_MAKER(PermissionDenied, kPermissionDenied)
TANDEM_DEFINE_STATUS_MAKER(ResourceExhausted, kResourceExhausted)
TANDEM_DEFINE_STATUS_MAKER(Unavailable, kUnavailable)
TANDEM_DEFINE_STATUS_MAKER(Unimplemented, kUnimplemented)
#undef TANDEM_DEFINE_STATUS_MAKER

// The same error, its message led by where it happened: Annotate(status,
// "config.yaml:3") -> "config.yaml:3: ...".
inline Status Annotate(const Status& status, const std::string& where) {
  if (status.ok()) return status;
  return Status(status.code(), where + ": " + std::string(status.message()));
}

inline std::string ToString(const Status& status) {
  return std::string(status.message());
}

// Runs `body`, which returns Status or StatusOr, and turns an exception into an
// Internal error. It stands at task boundaries only: a training task, an
// evaluation, a subcommand.
template <typename Body>
auto CatchExceptions(const std::string& what, Body&& body)
    -> std::invoke_result_t<Body> {
  try {
    return body();
  } catch (const std::exception& e) {
    return Internal("{}: {}", what, e.what());
  }
}

#define TANDEM_CONCAT_INNER(a, b) a##b
#define TANDEM_CONCAT(a, b) TANDEM_CONCAT_INNER(a, b)

#define TANDEM_RETURN_IF_ERROR(expr)                                \
  if (::tandem::Status tandem_status = (expr); !tandem_status.ok()) \
  return tandem_status

#define TANDEM_ASSIGN_OR_RETURN(lhs, expr)                                 \
  TANDEM_ASSIGN_OR_RETURN_IMPL(TANDEM_CONCAT(tandem_status_or_, __LINE__), \
                               lhs, expr)
#define TANDEM_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                                 \
  if (!result.ok()) return result.status();             \
  lhs = *std::move(result)

}  // namespace tandem

#endif  // TANDEM_COMMON_STATUS_H_
