// Small fp32 tensors for tests.
#ifndef TANDEM_TESTS_TESTING_MAKE_TENSOR_H_
#define TANDEM_TESTS_TESTING_MAKE_TENSOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/random.h"
#include "model/aten.h"
#include "model/tensor_map.h"

namespace tandem::testing {

inline at::Tensor MakeTensor(at::IntArrayRef shape,
                             const std::vector<float>& values) {
  return at::tensor(values, at::kFloat).reshape(shape);
}

// Standard normal values times `scale`, the same for equal seeds.
inline at::Tensor RandomTensor(at::IntArrayRef shape, uint64_t seed,
                               double scale = 1) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  SeededRandom random(seed);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(scale * random.Normal());
  }
  return tensor;
}

inline std::vector<float> ValuesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  const float* values = flat.const_data_ptr<float>();
  return std::vector<float>(values, values + flat.numel());
}

// The raw bytes of all tensors, in the order of names: equal exactly where
// names and every bit are.
inline std::string BytesOf(const TensorMap& tensors) {
  std::string bytes;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor flat = tensor.contiguous();
    bytes += name;
    bytes.append(static_cast<const char*>(flat.const_data_ptr()),
                 flat.nbytes());
  }
  return bytes;
}

// An adapter-shaped map of one module: A [rank, in], B [out, rank].
inline TensorMap MakeFactors(uint64_t seed, int64_t rank = 4, int64_t in = 33,
                             int64_t out = 17) {
  const std::string module = "base_model.model.model.layers.0.mlp.up_proj.";
  return {{module + "lora_A.weight", RandomTensor({rank, in}, 2 * seed)},
          {module + "lora_B.weight", RandomTensor({out, rank}, 2 * seed + 1)}};
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_MAKE_TENSOR_H_
