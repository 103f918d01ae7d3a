// Patterns of module names, as PEFT's adapter_config.json holds them.
#ifndef TANDEM_MODEL_MODULE_PATTERN_H_
#define TANDEM_MODEL_MODULE_PATTERN_H_

#include <memory>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tandem {

// A compiled regular expression (PCRE2's syntax, which has Python's). Copies
// share it; threads may match at the same time.
class ModulePattern {
 public:
  // Matches a name that ends with the expression, at its start or after a dot:
  // PEFT's rule for the keys of rank_pattern and alpha_pattern. "q_proj"
  // matches "model.layers.0.self_attn.q_proj". InvalidArgument: not a regular
  // expression, or one of more than 1000 bytes.
  static StatusOr<ModulePattern> EndOfName(const std::string& expression);
  // Matches a name that is the expression from end to end: PEFT's rule where
  // target_modules is one string.
  static StatusOr<ModulePattern> WholeName(const std::string& expression);

  const std::string& expression() const { return expression_; }
  // An expression that backtracks without end on a name does not match it.
  bool Matches(std::string_view module) const;

 private:
  struct Compiled;
  ModulePattern() = default;
  static StatusOr<ModulePattern> Compile(const std::string& expression,
                                         const std::string& anchored);

  std::string expression_;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_MODULE_PATTERN_H_
