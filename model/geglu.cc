#include "model/geglu.h"

#include <torch/csrc/autograd/custom_function.h>

#include "model/aten.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class GeGluFunction : public torch::autograd::Function<GeGluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate,
                            const at::Tensor& up) {
    ctx->save_for_backward({gate, up});
    return at::gelu(gate, "tanh").mul_(up);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1];
    return {at::gelu_backward(grads[0] * up, gate, "tanh"),
            at::gelu(gate, "tanh").mul_(grads[0])};
  }
};

}  // namespace

at::Tensor GeGlu(const at::Tensor& gate, const at::Tensor& up) {
  return GeGluFunction::apply(gate, up);
}

}  // namespace tandem
