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

std::vector<AdaptedLinear> AllLinears(const DecoderConfig& config) {
  const std::vector<std::string>& known = KnownTargetModules();
  std::vector<AdaptedLinear> linears;
  linears.reserve(static_cast<size_t>(config.layers) * known.size());
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const std::string& name : known) {
      linears.push_back(LinearOf(config, layer, name));
    }
  }
  return linears;
}

// PEFT's rule for an entry of target_modules.
bool Selects(const std::string& target, const std::string& module) {
  return module == target || module.ends_with("." + target);
}

bool IsWanted(const LoraOptions& options, const std::string& module) {
  if (options.target_pattern) return options.target_pattern->Matches(module);
  const std::vector<std::string>& targets = options.target_modules;
  return targets.empty() || std::any_of(targets.begin(), targets.end(),
                                        [&](const std::string& target) {
                                          return Selects(target, module);
                                        });
}

Status CheckTargets(const std::vector<std::string>& targets,
                    const std::vector<AdaptedLinear>& linears) {
  for (const std::string& target : targets) {
    const bool selects = std::any_of(linears.begin(), linears.end(),
                                     [&](const AdaptedLinear& linear) {
                                       return Selects(target, linear.module);
                                     });
    if (selects) continue;
    return InvalidArgument(
        "target_modules: '{}' is not a module that LoRA can adapt; known are "
        "{}",
        target, fmt::join(KnownTargetModules(), ", "));
  }
  return OkStatus();
}

}  // namespace

std::string LoraAName(std::string_view module) {
  return fmt::format("{}{}.lora_A.weight", kPeftPrefix, module);
}

std::string LoraBName(std::string_view module) {
  return fmt::format("{}{}.lora_B.weight", kPeftPrefix, module);
}

std::string MagnitudeName(std::string_view module) {
  return fmt::format("{}{}.lora_magnitude_vector", kPeftPrefix, module);
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
    const DecoderConfig& config, const LoraOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckLoraOptions(options));
  std::vector<AdaptedLinear> linears = AllLinears(config);
  TANDEM_RETURN_IF_ERROR(CheckTargets(options.target_modules, linears));
  std::erase_if(linears, [&](const AdaptedLinear& linear) {
    return !IsWanted(options, linear.module);
  });
  if (linears.empty() && options.target_pattern) {
    return InvalidArgument("target_modules: no module matches '{}'",
                           options.target_pattern->expression());
  }
  for (AdaptedLinear& linear : linears) {
    linear.rank = ModuleRank(options, linear.module);
    linear.scale = ModuleScale(options, linear.module);
  }
  return linears;
}

}  // namespace tandem
