// Gradient checkpointing (Chen et al., 2016, "Training Deep Nets with Sublinear
// Memory Cost"): activations are computed again in the backward pass in place
// of being kept for it.
#ifndef TANDEM_MODEL_RECOMPUTE_H_
#define TANDEM_MODEL_RECOMPUTE_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace tandem {

// layer(h), with the same gradients, bit for bit; between forward and backward
// pass only h and the parameters are kept. `parameters`: the leaves other than
// h that `layer` reads and that want a gradient; what else it reads wants none.
// REQUIRES: `layer` may be called until the backward pass is over, and gives
// the same value each time.
at::Tensor Recomputed(
    const at::Tensor& h, const std::vector<at::Tensor>& parameters,
    const std::function<at::Tensor(const at::Tensor& h)>& layer);

// While it lives, and `enabled`, forward passes of this thread that build a
// graph recompute their layers: Decoder::ForwardRows asks IsEnabled().
class RecomputeMode {
 public:
  explicit RecomputeMode(bool enabled);
  ~RecomputeMode();
  RecomputeMode(const RecomputeMode&) = delete;
  RecomputeMode& operator=(const RecomputeMode&) = delete;
  static bool IsEnabled();

 private:
  bool before_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_RECOMPUTE_H_
