// The linear layers of a decoder that LoRA can adapt, by name and shape.
#ifndef TANDEM_MODEL_ADAPTED_LINEARS_H_
#define TANDEM_MODEL_ADAPTED_LINEARS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/decoder_config.h"
#include "model/lora_options.h"

namespace tandem {

// One linear layer with an adapter: weight [out, in].
struct AdaptedLinear {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  int64_t in = 0;
  int64_t out = 0;
  int64_t rank = 0;
  double scale = 0;  // of B A x
};

// Names of the adapter's tensors and of the weight they belong to.
std::string LoraAName(std::string_view module);      // PEFT's
std::string LoraBName(std::string_view module);      // PEFT's
std::string MagnitudeName(std::string_view module);  // PEFT's, of DoRA
std::string WeightName(std::string_view module);

// q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.
const std::vector<std::string>& KnownTargetModules();

// The layers that the options select, by layer and then in the order of
// KnownTargetModules(). InvalidArgument: what CheckLoraOptions refuses, a
// target module that selects none (the message lists the known ones), a target
// pattern that matches none.
StatusOr<std::vector<AdaptedLinear>> AdaptedLinears(const DecoderConfig& config,
                                                    const LoraOptions& options);

}  // namespace tandem

#endif  // TANDEM_MODEL_ADAPTED_LINEARS_H_
