#include "model/lora_options.h"

#include <cmath>

namespace tandem {
namespace {

// Far above any useful rank; what a peer's task description may ask for stops
// here, before memory is touched.
constexpr int64_t kMaxRank = 65536;

Status CheckRank(int64_t rank) {
  if (rank >= 1 && rank <= kMaxRank) return OkStatus();
  return InvalidArgument("LoRA rank is {}, expected 1 to {}", rank, kMaxRank);
}

Status CheckAlpha(double alpha) {
  if (std::isfinite(alpha) && alpha > 0) return OkStatus();
  return InvalidArgument("LoRA alpha is {}, expected a number above 0", alpha);
}

template <typename T>
T FirstMatch(const std::vector<PatternValue<T>>& patterns,
             const std::string& module, T otherwise) {
  for (const PatternValue<T>& pattern : patterns) {
    if (pattern.modules.Matches(module)) return pattern.value;
  }
  return otherwise;
}

}  // namespace

Status CheckLoraOptions(const LoraOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckRank(options.rank));
  TANDEM_RETURN_IF_ERROR(CheckAlpha(options.alpha));
  for (const auto& [modules, rank] : options.rank_pattern) {
    TANDEM_RETURN_IF_ERROR(Annotate(
        CheckRank(rank), "rank_pattern '" + modules.expression() + "'"));
  }
  for (const auto& [modules, alpha] : options.alpha_pattern) {
    TANDEM_RETURN_IF_ERROR(Annotate(
        CheckAlpha(alpha), "alpha_pattern '" + modules.expression() + "'"));
  }
  // Written so that NaN fails too.
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    return InvalidArgument("LoRA dropout is {}, expected 0 to below 1",
                           options.dropout);
  }
  return OkStatus();
}

int64_t ModuleRank(const LoraOptions& options, const std::string& module) {
  return FirstMatch(options.rank_pattern, module, options.rank);
}

double ModuleScale(const LoraOptions& options, const std::string& module) {
  const double alpha = FirstMatch(options.alpha_pattern, module, options.alpha);
  const double rank = static_cast<double>(ModuleRank(options, module));
  return alpha / (options.use_rslora ? std::sqrt(rank) : rank);
}

}  // namespace tandem
