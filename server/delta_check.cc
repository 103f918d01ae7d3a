#include "server/delta_check.h"

#include <string>

#include "model/aten.h"
#include "server/delta_blocks.h"

namespace tandem {
namespace {

// Names come from peers and go into logs and answers.
constexpr size_t kShownNameBytes = 200;

std::string ShapeText(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

Status CheckNames(const TensorMap& global, const TensorMap& delta,
                  bool freeze_lora_a) {
  for (const auto& [name, tensor] : delta) {
    if (!global.contains(name)) {
      return InvalidArgument("tensor '{}' is not in the global adapter",
                             name.substr(0, kShownNameBytes));
    }
  }
  for (const auto& [name, tensor] : global) {
    if (delta.contains(name) || (freeze_lora_a && IsLoraA(name))) continue;
    return InvalidArgument("tensor '{}' of the global adapter is missing",
                           name);
  }
  return OkStatus();
}

Status CheckTensor(const std::string& name, const at::Tensor& expected,
                   const at::Tensor& tensor) {
  if (tensor.scalar_type() != at::kFloat) {
    return InvalidArgument("tensor '{}' is {}, expected Float", name,
                           c10::toString(tensor.scalar_type()));
  }
  if (tensor.sizes() != expected.sizes()) {
    return InvalidArgument("tensor '{}' has shape {}, expected {}", name,
                           ShapeText(tensor.sizes()),
                           ShapeText(expected.sizes()));
  }
  return OkStatus();
}

}  // namespace

bool IsLoraA(std::string_view tensor_name) {
  return tensor_name.ends_with(".lora_A.weight");
}

Status CheckDelta(const TensorMap& global, const TensorMap& delta,
                  bool freeze_lora_a) {
  TANDEM_RETURN_IF_ERROR(CheckNames(global, delta, freeze_lora_a));
  for (const auto& [name, tensor] : delta) {
    TANDEM_RETURN_IF_ERROR(CheckTensor(name, global.at(name), tensor));
    if (freeze_lora_a && IsLoraA(name) &&
        SumOfSquares({tensor.contiguous()}) != 0) {
      return InvalidArgument("tensor '{}' is frozen, its delta must be zero",
                             name);
    }
  }
  return OkStatus();
}

}  // namespace tandem
