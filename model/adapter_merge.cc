#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <stdexcept>

#include "model/adapted_linears.h"
#include "model/adapter.h"

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

}  // namespace

Checkpoint MergeAdapter(const Checkpoint& base, const Adapter& adapter) {
  const at::NoGradGuard no_grad;
  const auto linears =
      AdaptedLinears(base.config, adapter.options.target_modules);
  if (!linears.ok()) throw std::invalid_argument(ToString(linears.status()));
  const double scale =
      adapter.options.alpha / static_cast<double>(adapter.options.rank);
  Checkpoint merged = base;
  for (const AdaptedLinear& linear : *linears) {
    const std::string name = WeightName(linear.module);
    merged.tensors[name] =
        at::addmm(TensorOf(base.tensors, name).to(at::kFloat),
                  TensorOf(adapter.tensors, LoraBName(linear.module)),
                  TensorOf(adapter.tensors, LoraAName(linear.module)),
                  /*beta=*/1, /*alpha=*/scale);
  }
  return merged;
}

}  // namespace tandem
