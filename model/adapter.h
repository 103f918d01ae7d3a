// LoRA adapters (Hu et al., 2021): W x + (alpha / r) B A x with W frozen.
#ifndef TANDEM_MODEL_ADAPTER_H_
#define TANDEM_MODEL_ADAPTER_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/checkpoint.h"
#include "model/decoder_config.h"
#include "model/tensor_map.h"

namespace tandem {

struct LoraOptions {
  int64_t rank = 16;
  double alpha = 32;
  // Of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj; empty:
  // all seven.
  std::vector<std::string> target_modules = {};
};

struct Adapter {
  LoraOptions options;
  // PEFT's names, fp32:
  // base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight [r, in],
  // ...lora_B.weight [out, r].
  TensorMap tensors = {};
};

// A: Kaiming-uniform with a = sqrt(5), that is uniform in +-1/sqrt(in); B:
// zero. The same for equal seeds. InvalidArgument: rank < 1, alpha <= 0,
// unknown target module (lists the known ones).
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
// (use_dora, use_rslora, modules_to_save, rank_pattern, alpha_pattern, bias,
// PiSSA and its like, ...), each named; missing or misshapen tensors; a wrong
// file.
StatusOr<Adapter> LoadAdapter(const std::filesystem::path& folder,
                              const DecoderConfig& config);

// W + (alpha / r) B A in fp32 for every adapted layer; other tensors are shared
// with `base`. Throws std::invalid_argument where the adapter is not one for
// this base (see CheckAdapterTensors).
Checkpoint MergeAdapter(const Checkpoint& base, const Adapter& adapter);

}  // namespace tandem

#endif  // TANDEM_MODEL_ADAPTER_H_
