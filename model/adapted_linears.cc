#include "model/adapted_linears.h"

#include <spdlog/fmt/ranges.h>

#include <algorithm>

namespace tandem {
namespace {

constexpr std::string_view kPeftPrefix = "base_model.model.";

// Attention and MLP modules differ only in their folder and shape.
AdaptedLinear LinearOf(const DecoderConfig& config, int64_t layer,
                       const std::string& name) {
  const int64_t hidden = config.hidden_size;
  const int64_t queries = config.attention_heads * config.head_size;
  const int64_t keys = config.key_value_heads * config.head_size;
  const int64_t middle = config.intermediate_size;
  const bool is_mlp =
      name == "gate_proj" || name == "up_proj" || name == "down_proj";
  AdaptedLinear linear;
  linear.module = fmt::format("model.layers.{}.{}.{}", layer,
                              is_mlp ? "mlp" : "self_attn", name);
  linear.in = name == "o_proj"      ? queries
              : name == "down_proj" ? middle
                                    : hidden;
  if (name == "q_proj") {
    linear.out = queries;
  } else if (name == "k_proj" || name == "v_proj") {
    linear.out = keys;
  } else if (name == "gate_proj" || name == "up_proj") {
    linear.out = middle;
  } else {
    linear.out = hidden;
  }
  return linear;
}

}  // namespace

std::string LoraAName(std::string_view module) {
  return fmt::format("{}{}.lora_A.weight", kPeftPrefix, module);
}

std::string LoraBName(std::string_view module) {
  return fmt::format("{}{}.lora_B.weight", kPeftPrefix, module);
}

std::string WeightName(std::string_view module) {
  return fmt::format("{}.weight", module);
}

const std::vector<std::string>& KnownTargetModules() {
  static const std::vector<std::string> known = {
      "q_proj",    "k_proj",  "v_proj",   "o_proj",
      "gate_proj", "up_proj", "down_proj"};
  return known;
}

StatusOr<std::vector<AdaptedLinear>> AdaptedLinears(
    const DecoderConfig& config,
    const std::vector<std::string>& target_modules) {
  const std::vector<std::string>& known = KnownTargetModules();
  for (const std::string& name : target_modules) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return InvalidArgument(
          "target_modules: '{}' is not a module that LoRA can adapt; known "
          "are {}",
          name, fmt::join(known, ", "));
    }
  }
  const auto wanted = [&](const std::string& name) {
    return target_modules.empty() ||
           std::find(target_modules.begin(), target_modules.end(), name) !=
               target_modules.end();
  };
  std::vector<AdaptedLinear> linears;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const std::string& name : known) {
      if (wanted(name)) linears.push_back(LinearOf(config, layer, name));
    }
  }
  return linears;
}

}  // namespace tandem
