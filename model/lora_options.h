// What kind of LoRA adapter: ranks, scales, and the variants of the method.
#ifndef TANDEM_MODEL_LORA_OPTIONS_H_
#define TANDEM_MODEL_LORA_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/module_pattern.h"

namespace tandem {

// A value for the modules that a pattern (ModulePattern::EndOfName) matches.
template <typename T>
struct PatternValue {
  ModulePattern modules;
  T value;
};

struct LoraOptions {
  int64_t rank = 16;
  double alpha = 32;
  // Modules by the end of their names: "q_proj" takes every layer's,
  // "layers.0.mlp.up_proj" one; empty: all seven linears of every layer.
  std::vector<std::string> target_modules = {};
  // Stands in place of target_modules (ModulePattern::WholeName).
  std::optional<ModulePattern> target_pattern = {};
  // Scales by alpha / sqrt(rank), not alpha / rank (Kalajdzievski, 2023).
  bool use_rslora = false;
  // Weight-decomposed adaptation (Liu et al., 2024): a magnitude per output.
  bool use_dora = false;
  // Of the adapter's input, while training. [0, 1)
  double dropout = 0;
  // The first match gives a module its rank or alpha in place of those above.
  std::vector<PatternValue<int64_t>> rank_pattern = {};
  std::vector<PatternValue<double>> alpha_pattern = {};
};

// InvalidArgument naming the first value out of its range.
Status CheckLoraOptions(const LoraOptions& options);

// Of the module with this name: "model.layers.0.self_attn.q_proj".
int64_t ModuleRank(const LoraOptions& options, const std::string& module);
// What its B A x is multiplied with.
double ModuleScale(const LoraOptions& options, const std::string& module);

}  // namespace tandem

#endif  // TANDEM_MODEL_LORA_OPTIONS_H_
