// Named tensors, ordered by name: the weights of a model, the factors of an
// adapter, an update.
#ifndef TANDEM_MODEL_TENSOR_MAP_H_
#define TANDEM_MODEL_TENSOR_MAP_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace tandem {

using TensorMap = std::map<std::string, at::Tensor>;

}  // namespace tandem

#endif  // TANDEM_MODEL_TENSOR_MAP_H_
