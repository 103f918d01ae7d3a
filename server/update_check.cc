#include "server/update_check.h"

#include <cmath>
#include <string>
#include <utility>

#include "model/safetensors.h"
#include "server/client_metrics.h"
#include "server/delta_blocks.h"
#include "server/delta_check.h"

namespace tandem {
namespace {

// The client reads the message, and may have made a part of it.
UpdateVerdict Reject(proto::TaskOutcome outcome, const std::string& message) {
  return {outcome, Printable(message), 0};
}

// Where the server keeps the file, which leads the message, is its own affair.
UpdateVerdict RejectFile(const Status& status,
                         const std::filesystem::path& file) {
  if (absl::IsNotFound(status)) {
    return Reject(proto::MISSING_OBJECT, "the update is not there");
  }
  std::string message = ToString(status);
  if (message.starts_with(file.string())) {
    message.replace(0, file.string().size(), "the update");
  }
  return Reject(proto::MALFORMED, message);
}

UpdateVerdict CheckNorm(double norm, const UpdateLimits& limits) {
  const bool clips = limits.clip_norm_l2 > 0;
  const double bound = clips ? limits.clip_norm_l2 * (1 + kClipTolerance)
                             : limits.max_update_norm_l2;
  if (norm <= bound) return {proto::ACCEPTED, "", norm};
  return {
      proto::NORM_TOO_LARGE,
      fmt::format("the update's L2 norm is {:g}, expected at most {} {:g}",
                  norm, clips ? "the clip norm" : "limits.max_update_norm_l2",
                  clips ? limits.clip_norm_l2 : limits.max_update_norm_l2),
      norm};
}

UpdateVerdict CheckValues(const TensorMap& delta, const UpdateLimits& limits) {
  TensorList tensors;
  for (const auto& [name, tensor] : delta) {
    if (!std::isfinite(SumOfSquares({tensor}))) {
      return Reject(proto::NOT_FINITE,
                    fmt::format("tensor '{}' contains NaN or infinity", name));
    }
    tensors.push_back(tensor);
  }
  return CheckNorm(std::sqrt(SumOfSquares(tensors)), limits);
}

}  // namespace

UpdateVerdict CheckUpdate(const TensorMap& global,
                          const std::filesystem::path& update_file,
                          double weight, const UpdateLimits& limits) {
  if (!std::isfinite(weight) || weight <= 0 ||
      weight > limits.max_client_weight) {
    return Reject(proto::BAD_WEIGHT,
                  fmt::format("weight is {}, expected a number above 0 and at "
                              "most {:g}",
                              weight, limits.max_client_weight));
  }
  const StatusOr<Safetensors> update = ReadSafetensors(update_file);
  if (!update.ok()) return RejectFile(update.status(), update_file);
  const Status fits = CheckDelta(global, update->tensors, limits.freeze_lora_a);
  if (!fits.ok()) return Reject(proto::WRONG_SHAPE, ToString(fits));
  return CheckValues(update->tensors, limits);
}

}  // namespace tandem
