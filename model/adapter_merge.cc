#include <ATen/core/grad_mode.h>

#include <stdexcept>

#include "model/adapted_linears.h"
#include "model/adapter.h"
#include "model/aten.h"
#include "model/dora.h"

namespace tandem {
namespace {

const at::Tensor& TensorOf(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    throw std::invalid_argument("cannot merge the adapter: tensor '" + name +
                                "' is missing");
  }
  return found->second;
}

at::Tensor MergedWeight(const at::Tensor& weight, const AdaptedLinear& linear,
                        const Adapter& adapter) {
  const at::Tensor merged =
      at::addmm(weight.to(at::kFloat),
                TensorOf(adapter.tensors, LoraBName(linear.module)),
                TensorOf(adapter.tensors, LoraAName(linear.module)),
                /*beta=*/1, /*alpha=*/linear.scale);
  if (!adapter.options.use_dora) return merged;
  const at::Tensor& magnitude =
      TensorOf(adapter.tensors, MagnitudeName(linear.module));
  const at::Tensor norms =
      merged.norm(2, {1}, /*keepdim=*/true).clamp_min(kSmallestRowNorm);
  return merged * (magnitude.unsqueeze(1) / norms);
}

}  // namespace

Checkpoint MergeAdapter(const Checkpoint& base, const Adapter& adapter) {
  const at::NoGradGuard no_grad;
  const auto linears = AdaptedLinears(base.config, adapter.options);
  if (!linears.ok()) throw std::invalid_argument(ToString(linears.status()));
  Checkpoint merged = base;
  for (const AdaptedLinear& linear : *linears) {
    const std::string name = WeightName(linear.module);
    merged.tensors[name] =
        MergedWeight(TensorOf(base.tensors, name), linear, adapter);
  }
  return merged;
}

}  // namespace tandem
