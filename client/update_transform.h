// What happens to an update between training and upload: an ordered chain.
#ifndef TANDEM_CLIENT_UPDATE_TRANSFORM_H_
#define TANDEM_CLIENT_UPDATE_TRANSFORM_H_

#include <memory>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/tensor_map.h"

namespace tandem {

class UpdateTransform {
 public:
  virtual ~UpdateTransform() = default;
  virtual std::string_view name() const = 0;
  // Changes `update` (fp32 tensors, local adapter minus global adapter) in
  // place or replaces its tensors. After an error the update must not be used.
  virtual Status Apply(TensorMap& update) const = 0;
};

using UpdateTransforms = std::vector<std::unique_ptr<UpdateTransform>>;

// Each in turn; the first error, led by the transform's name, ends it.
Status ApplyTransforms(const UpdateTransforms& transforms, TensorMap& update);

// L2 norm of all tensors together, summed in double precision.
double NormL2(const TensorMap& tensors);

// Scales the whole update by min(1, clip_norm_l2 / norm): one factor for all
// tensors, as the sensitivity of the sum is that of the flattened update. What
// comes out is never above clip_norm_l2, in spite of fp32 rounding.
// InvalidArgument from Apply: the update is not finite, or clip_norm_l2 is not
// finite and positive.
std::unique_ptr<UpdateTransform> NewClipTransform(double clip_norm_l2);

}  // namespace tandem

#endif  // TANDEM_CLIENT_UPDATE_TRANSFORM_H_
