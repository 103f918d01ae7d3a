#include "client/update_transform.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "model/aten.h"

namespace tandem {
namespace {

class ClipTransform : public UpdateTransform {
 public:
  explicit ClipTransform(double clip_norm_l2) : clip_norm_l2_(clip_norm_l2) {}
  std::string_view name() const override { return "clip"; }

  Status Apply(TensorMap& update) const override {
    if (!std::isfinite(clip_norm_l2_) || clip_norm_l2_ <= 0) {
      return InvalidArgument("clip_norm_l2 is {}, expected above 0",
                             clip_norm_l2_);
    }
    const double norm = NormL2(update);
    if (!std::isfinite(norm)) {
      return InvalidArgument("the update's norm is {}", norm);
    }
    if (norm <= clip_norm_l2_) return OkStatus();
    const TensorMap unclipped = update;
    // Rounding to fp32 may lengthen the result by half a unit in the last
    // place; then the factor shrinks, by more each time.
    double factor = clip_norm_l2_ / norm;
    double shrink = std::numeric_limits<float>::epsilon();
    do {
      for (const auto& [name, tensor] : unclipped) {
        update[name] = Scaled(tensor, factor);
      }
      factor *= 1 - shrink;
      shrink = std::min(2 * shrink, 0.5);
    } while (NormL2(update) > clip_norm_l2_);
    return OkStatus();
  }

 private:
  static at::Tensor Scaled(const at::Tensor& tensor, double factor) {
    return tensor.to(at::kDouble).mul(factor).to(at::kFloat);
  }
  const double clip_norm_l2_;
};

}  // namespace

Status ApplyTransforms(const UpdateTransforms& transforms, TensorMap& update) {
  for (const auto& transform : transforms) {
    TANDEM_RETURN_IF_ERROR(
        Annotate(transform->Apply(update), std::string(transform->name())));
  }
  return OkStatus();
}

double NormL2(const TensorMap& tensors) {
  double sum = 0;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor flat = tensor.flatten().to(at::kDouble);
    sum += flat.dot(flat).item<double>();
  }
  return std::sqrt(sum);
}

std::unique_ptr<UpdateTransform> NewClipTransform(double clip_norm_l2) {
  return std::make_unique<ClipTransform>(clip_norm_l2);
}

}  // namespace tandem
