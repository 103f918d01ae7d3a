// What an uploaded update must satisfy before it may enter a round. Touches no
// shared state, so that it runs without a lock.
#ifndef TANDEM_SERVER_UPDATE_CHECK_H_
#define TANDEM_SERVER_UPDATE_CHECK_H_

#include <filesystem>
#include <string>

#include "model/tensor_map.h"
#include "proto/federation.pb.h"

namespace tandem {

struct UpdateLimits {
  double max_client_weight = 1e6;
  // Bounds the norm where clip_norm_l2 does not.
  double max_update_norm_l2 = 1e4;
  // The norm that clients clip to, as in Task.clip_norm_l2; 0: they do not.
  double clip_norm_l2 = 0;
  // As in Task.freeze_lora_a: deltas of A may be left out and must be zero.
  bool freeze_lora_a = false;
};

// Clients clip in fp32, so that a norm may pass clip_norm_l2 by so much,
// relative to it, and still be accepted. No promise depends on it: aggregation
// clips again, in double precision.
inline constexpr double kClipTolerance = 1e-3;

struct UpdateVerdict {
  proto::TaskOutcome outcome = proto::OUTCOME_UNSPECIFIED;
  // What is wrong: tensor, value and limit. Empty where accepted.
  std::string message;
  // L2 norm of the whole flattened update, where it got so far.
  double norm_l2 = 0;
};

// Checks `update_file` (safetensors: local adapter minus global adapter)
// against the global adapter. In this order: BAD_WEIGHT unless weight is
// finite, above 0 and at most max_client_weight; MALFORMED where the file is
// not safetensors or lies about its sizes; WRONG_SHAPE where names, shapes or
// the dtype fp32 differ, or a frozen A moved; NOT_FINITE; NORM_TOO_LARGE; else
// ACCEPTED.
UpdateVerdict CheckUpdate(const TensorMap& global,
                          const std::filesystem::path& update_file,
                          double weight, const UpdateLimits& limits);

}  // namespace tandem

#endif  // TANDEM_SERVER_UPDATE_CHECK_H_
