#include "model/module_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <new>

namespace tandem {
namespace {

// Of PCRE2's own steps; a harmless expression needs some hundred for a name.
constexpr uint32_t kMatchLimit = 100'000;
constexpr uint32_t kHeapLimitKib = 1024;
constexpr size_t kMaxExpressionBytes = 1000;

struct FreePatternMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const {
    pcre2_match_context_free(context);
  }
};

PCRE2_SPTR Pcre2Text(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

}  // namespace

struct ModulePattern::Compiled {
  explicit Compiled(pcre2_code* pattern) : code(pattern) {}
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() { pcre2_code_free(code); }
  pcre2_code* code;
};

StatusOr<ModulePattern> ModulePattern::Compile(const std::string& expression,
                                               const std::string& anchored) {
  if (expression.size() > kMaxExpressionBytes) {
    return InvalidArgument("a pattern has {} bytes, expected at most {}",
                           expression.size(), kMaxExpressionBytes);
  }
  int error = 0;
  size_t position = 0;
  pcre2_code* code =
      pcre2_compile(Pcre2Text(anchored), anchored.size(),
                    PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF, &error,
                    &position, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(error, text, sizeof(text));
    return InvalidArgument("'{}' is no regular expression: {}", expression,
                           reinterpret_cast<const char*>(text));
  }
  ModulePattern pattern;
  pattern.expression_ = expression;
  pattern.compiled_ = std::make_shared<const Compiled>(code);
  return pattern;
}

StatusOr<ModulePattern> ModulePattern::EndOfName(
    const std::string& expression) {
  return Compile(expression, "(.*\\.)?(" + expression + ")");
}

StatusOr<ModulePattern> ModulePattern::WholeName(
    const std::string& expression) {
  return Compile(expression, "(?:" + expression + ")");
}

bool ModulePattern::Matches(std::string_view module) const {
  const std::unique_ptr<pcre2_match_data, FreePatternMatch> match(
      pcre2_match_data_create_from_pattern(compiled_->code, nullptr));
  const std::unique_ptr<pcre2_match_context, FreePatternMatch> context(
      pcre2_match_context_create(nullptr));
  if (match == nullptr || context == nullptr) throw std::bad_alloc();
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  return pcre2_match(compiled_->code, Pcre2Text(module), module.size(), 0, 0,
                     match.get(), context.get()) > 0;
}

}  // namespace tandem
