// A model's weights in one safetensors file or in several, as Hugging Face
// folders hold them: model.safetensors, or model-00001-of-0000N.safetensors
// with a model.safetensors.index.json, {"metadata": {"total_size": bytes},
// "weight_map": {tensor: shard}}.
#ifndef TANDEM_MODEL_SAFETENSORS_SHARDS_H_
#define TANDEM_MODEL_SAFETENSORS_SHARDS_H_

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>

#include "common/status.h"
#include "model/tensor_map.h"

namespace tandem {

// model.safetensors or, where there is none, the index.
std::filesystem::path WeightsFile(const std::filesystem::path& folder);

// The tensors of the folder, views into the mapped files. The errors of
// ReadSafetensors, and InvalidArgument led by the index's path: malformed JSON,
// no weight_map, a shard that is not a plain file name (so that none lies
// outside the folder), a tensor that is not in the shard named for it, in two
// shards, or in a shard without being named. total_size is not looked at: the
// shards say how large they are.
StatusOr<TensorMap> ReadWeights(const std::filesystem::path& folder);

// Converted to `dtype`, one tensor at a time; one file where all of them fit in
// `max_shard_bytes`, else shards filled in the order of the names. A tensor
// larger than that has a shard of its own. Weights of an earlier save, which a
// reader might take for these, are removed. InvalidArgument: max_shard_bytes
// < 1; else the errors of WriteSafetensors.
Status WriteWeights(const std::filesystem::path& folder,
                    const TensorMap& tensors, at::ScalarType dtype,
                    int64_t max_shard_bytes);

}  // namespace tandem

#endif  // TANDEM_MODEL_SAFETENSORS_SHARDS_H_
