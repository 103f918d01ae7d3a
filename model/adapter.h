// LoRA adapters (Hu et al., 2021): W x + scale B A x with W frozen, and DoRA
// (Liu et al., 2024): m / ||W + scale B A|| times that, with a norm for every
// row.
#ifndef TANDEM_MODEL_ADAPTER_H_
#define TANDEM_MODEL_ADAPTER_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/status.h"
#include "model/checkpoint.h"
#include "model/decoder_config.h"
#include "model/lora_options.h"
#include "model/tensor_map.h"

namespace tandem {

class Decoder;

struct Adapter {
  LoraOptions options;
  // PEFT's names, fp32:
  // base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight [r, in],
  // ...lora_B.weight [out, r], and with DoRA ...lora_magnitude_vector [out].
  TensorMap tensors = {};
  // While training: what the masks of options.dropout are drawn from. Without
  // it nothing is dropped.
  std::optional<uint64_t> dropout_seed = {};
};

// A: Kaiming-uniform with a = sqrt(5), that is uniform in +-1/sqrt(in); B:
// zero; magnitudes: the norms of the rows of the model's weights. The same for
// equal seeds. InvalidArgument: what CheckLoraOptions refuses, a target module
// that is none (lists the known ones).
StatusOr<Adapter> CreateAdapter(const Decoder& model,
                                const LoraOptions& options, uint64_t seed);
// The same without the weights. InvalidArgument for DoRA, which needs them.
StatusOr<Adapter> CreateAdapter(const DecoderConfig& config,
                                const LoraOptions& options, uint64_t seed);

// OK where `tensors` has exactly the names, shapes and fp32 dtype of an adapter
// for this model; else InvalidArgument that names the first difference.
Status CheckAdapterTensors(const DecoderConfig& config,
                           const LoraOptions& options,
                           const TensorMap& tensors);

// A PEFT folder, made where it is missing: adapter_config.json and
// adapter_model.safetensors. `base_model` goes into base_model_name_or_path.
Status SaveAdapter(const Adapter& adapter, const std::string& base_model,
                   const std::filesystem::path& folder);
// Tensors in half precision become fp32. NotFound; InvalidArgument: PEFT
// features that change what the adapter computes and Tandem does not support
// (modules_to_save, bias, layers_to_transform, PiSSA and its like, ...), each
// named; missing or misshapen tensors; a wrong file.
StatusOr<Adapter> LoadAdapter(const std::filesystem::path& folder,
                              const DecoderConfig& config);

// W + scale B A, with DoRA its rows set to their magnitudes, in fp32 for every
// adapted layer; other tensors are shared with `base`. Throws
// std::invalid_argument where the adapter is not one for this base (see
// CheckAdapterTensors).
Checkpoint MergeAdapter(const Checkpoint& base, const Adapter& adapter);

}  // namespace tandem

#endif  // TANDEM_MODEL_ADAPTER_H_
