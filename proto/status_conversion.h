// Status and grpc::Status into each other, all codes kept: the only place where
// the two error worlds meet.
#ifndef TANDEM_PROTO_STATUS_CONVERSION_H_
#define TANDEM_PROTO_STATUS_CONVERSION_H_

#include <grpcpp/support/status.h>

#include "common/status.h"

namespace tandem {

grpc::Status ToGrpcStatus(const Status& status);
Status FromGrpcStatus(const grpc::Status& status);

}  // namespace tandem

#endif  // TANDEM_PROTO_STATUS_CONVERSION_H_
