#include "model/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/aten.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using LayerCall = std::function<at::Tensor(const at::Tensor&)>;

// The engine keeps what is not a tensor as an IValue; this is how a function
// becomes one.
struct HeldLayer : torch::CustomClassHolder {
  LayerCall call;
  explicit HeldLayer(LayerCall layer) : call(std::move(layer)) {}
};

class RecomputeFunction : public torch::autograd::Function<RecomputeFunction> {
 public:
  // Runs without a graph, so that nothing inside is saved.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& h,
                            at::TensorList parameters,
                            const c10::intrusive_ptr<HeldLayer>& layer) {
    variable_list saved = {h};
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["layer"] = c10::IValue::make_capsule(layer);
    return layer->call(h);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    variable_list inputs = ctx->get_saved_variables();
    const auto layer = c10::static_intrusive_pointer_cast<HeldLayer>(
        ctx->saved_data["layer"].toCapsule());
    const at::AutoGradMode enable(true);
    inputs[0] = inputs[0].detach().requires_grad_(ctx->needs_input_grad(0));
    const at::Tensor output = layer->call(inputs[0]);
    variable_list wanted;
    for (const at::Tensor& input : inputs)
      if (input.requires_grad()) wanted.push_back(input);
    const variable_list found = torch::autograd::grad(
        {output}, wanted, {grads[0]}, /*retain_graph=*/false,
        /*create_graph=*/false, /*allow_unused=*/true);
    variable_list result;
    size_t next = 0;
    for (const at::Tensor& input : inputs)
      result.push_back(input.requires_grad() ? found[next++] : at::Tensor());
    result.emplace_back();  // of the layer
    return result;
  }
};

thread_local bool recompute_enabled = false;

}  // namespace

RecomputeMode::RecomputeMode(bool enabled) : before_(recompute_enabled) {
  recompute_enabled = enabled;
}
RecomputeMode::~RecomputeMode() { recompute_enabled = before_; }
bool RecomputeMode::IsEnabled() { return recompute_enabled; }

at::Tensor Recomputed(
    const at::Tensor& h, const std::vector<at::Tensor>& parameters,
    const std::function<at::Tensor(const at::Tensor& h)>& layer) {
  return RecomputeFunction::apply(h, at::TensorList(parameters),
                                  c10::make_intrusive<HeldLayer>(layer));
}

}  // namespace tandem
