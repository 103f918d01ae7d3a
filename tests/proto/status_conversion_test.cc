#include "proto/status_conversion.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(StatusConversion, KeepsEveryCodeAndMessageBothWays) {
  for (int code = 0; code <= 16; ++code) {
    const Status status(static_cast<StatusCode>(code), code ? "why" : "");
    const grpc::Status sent = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(sent.error_code()), code);
    EXPECT_EQ(FromGrpcStatus(sent), status);
  }
}

TEST(StatusConversion, NamesMeanTheSame) {
  EXPECT_EQ(ToGrpcStatus(Unavailable("x")).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ToGrpcStatus(DataLoss("x")).error_code(),
            grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(ToGrpcStatus(FailedPrecondition("x")).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace tandem
