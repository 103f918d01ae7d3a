// gmock matchers for Status and StatusOr.
#ifndef TANDEM_TESTS_TESTING_STATUS_MATCHERS_H_
#define TANDEM_TESTS_TESTING_STATUS_MATCHERS_H_

#include <gmock/gmock.h>

#include <string>

#include "common/status.h"

namespace tandem::testing {

inline const Status& StatusOf(const Status& status) { return status; }
template <typename T>
const Status& StatusOf(const StatusOr<T>& result) {
  return result.status();
}

// EXPECT_THAT(Load(path), IsOk());
MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

// EXPECT_THAT(Load(path), StatusIs(StatusCode::kNotFound, HasSubstr("a")));
MATCHER_P2(StatusIs, code, message, "") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         ::testing::ExplainMatchResult(
             message, std::string(StatusOf(arg).message()), result_listener);
}
inline auto StatusIs(StatusCode code) { return StatusIs(code, ::testing::_); }

// InvalidArgument, and its message has `part`.
inline auto IsInvalid(const std::string& part) {
  return StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr(part));
}

}  // namespace tandem::testing

// TANDEM_ASSERT_OK_AND_ASSIGN(Checkpoint model, LoadCheckpoint(path));
#define TANDEM_ASSERT_OK_AND_ASSIGN(lhs, expr) \
  TANDEM_ASSERT_OK_IMPL(TANDEM_CONCAT(tandem_test_result_, __LINE__), lhs, expr)
#define TANDEM_ASSERT_OK_IMPL(result, lhs, expr)  \
  auto result = (expr);                           \
  ASSERT_THAT(result, ::tandem::testing::IsOk()); \
  lhs = *std::move(result)

#endif  // TANDEM_TESTS_TESTING_STATUS_MATCHERS_H_
