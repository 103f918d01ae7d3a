// The server's step from a mean delta to a new global adapter (Reddi et al.
// 2021, "Adaptive Federated Optimization", Algorithm 2), a pure function.
#ifndef TANDEM_SERVER_SERVER_OPTIMIZER_H_
#define TANDEM_SERVER_SERVER_OPTIMIZER_H_

#include <string>

#include "common/status.h"
#include "model/tensor_map.h"

namespace tandem {

struct ServerOptimizerOptions {
  // sgd:  x <- x + eta delta. Learning rate 1 takes the mean as it is.
  // adam: m <- beta1 m + (1 - beta1) delta        (from m = 0)
  //       v <- beta2 v + (1 - beta2) delta^2      (from v = tau^2)
  //       x <- x + eta m / (sqrt(v) + tau)        (no bias correction)
  std::string name = "sgd";
  double learning_rate = 1;  // eta
  double beta1 = 0.9;
  double beta2 = 0.99;
  double adaptivity = 1e-3;  // tau
};
// InvalidArgument naming the field and its range; an unknown name lists the
// known ones.
Status ValidateServerOptimizerOptions(const ServerOptimizerOptions& options);

struct ServerStep {
  TensorMap adapter;
  // What the next step needs: empty for sgd; "m/NAME" and "v/NAME", fp32, for
  // adam. Stored as a safetensors object and read back, it continues with the
  // same bytes.
  TensorMap state;
};

// One step. `state` is empty at the first one. Tensors of `global` that
// `mean_delta` lacks are frozen: shared with the result, not copied. The
// arithmetic is in double precision, element by element, and does not depend
// on the number of threads. InvalidArgument: invalid options; a tensor of
// mean_delta that is not one of global's, by name, shape and fp32; a state
// that does not belong to the optimiser and these tensors; a step whose result
// is not finite. The inputs are never written to.
StatusOr<ServerStep> ApplyServerOptimizer(const ServerOptimizerOptions& options,
                                          const TensorMap& state,
                                          const TensorMap& global,
                                          const TensorMap& mean_delta);

}  // namespace tandem

#endif  // TANDEM_SERVER_SERVER_OPTIMIZER_H_
