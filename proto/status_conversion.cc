#include "proto/status_conversion.h"

namespace tandem {

// The two enumerations give the same numbers to the same codes;
// proto/status_conversion_test.cc holds them to it.
grpc::Status ToGrpcStatus(const Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()),
                      ToString(status));
}

Status FromGrpcStatus(const grpc::Status& status) {
  return Status(static_cast<StatusCode>(status.error_code()),
                status.error_message());
}

}  // namespace tandem
