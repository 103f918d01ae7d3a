#include "model/jinja_filters.h"

#include <charconv>
#include <cmath>
#include <string>

#include "model/jinja_format.h"
#include "model/jinja_strings.h"

namespace tandem::jinja {
namespace {

StatusOr<Value> TrimFilter(const Value& input, const Arguments& arguments,
                           Budget* budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound, arguments.Bind({"chars"}));
  TANDEM_ASSIGN_OR_RETURN(const Text text, ToText(input, budget));
  if (!bound[0] || bound[0]->IsNone()) {
    return MakeText(Strip(text, Side::kBoth), budget);
  }
  if (bound[0]->text() == nullptr) {
    return InvalidArgument("'chars' is of type {}, expected a str",
                           bound[0]->TypeName());
  }
  const std::string& chars = bound[0]->text()->bytes();
  TANDEM_RETURN_IF_ERROR(budget->Spend(chars.size()));
  return MakeText(Strip(text, chars, Side::kBoth), budget);
}

template <LetterCase letter_case>
StatusOr<Value> CaseFilter(const Value& input, const Arguments& arguments,
                           Budget* budget) {
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  TANDEM_ASSIGN_OR_RETURN(const Text text, ToText(input, budget));
  TANDEM_ASSIGN_OR_RETURN(Text changed, ChangeCase(text, letter_case));
  return MakeText(std::move(changed), budget);
}

StatusOr<Value> StringFilter(const Value& input, const Arguments& arguments,
                             Budget* budget) {
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  TANDEM_ASSIGN_OR_RETURN(Text text, ToText(input, budget));
  return MakeText(std::move(text), budget);
}

StatusOr<Value> ReplaceFilter(const Value& input, const Arguments& arguments,
                              Budget* budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          arguments.Bind({"old", "new", "count"}));
  if (!bound[0] || !bound[1]) {
    return InvalidArgument("replace takes what to replace, and by what");
  }
  TANDEM_ASSIGN_OR_RETURN(const Text text, ToText(input, budget));
  TANDEM_ASSIGN_OR_RETURN(const Text old, ToText(*bound[0], budget));
  TANDEM_ASSIGN_OR_RETURN(const Text with, ToText(*bound[1], budget));
  if (old.empty()) return InvalidArgument("replace of nothing");
  const bool limited = bound[2] && !bound[2]->IsNone();
  if (limited && !bound[2]->integer()) {
    return InvalidArgument("'count' is of type {}, expected an int",
                           bound[2]->TypeName());
  }
  TANDEM_RETURN_IF_ERROR(budget->Spend(text.size() / old.size() * with.size()));
  return MakeText(
      Replace(text, old.bytes(), with, limited ? *bound[2]->integer() : -1),
      budget);
}

StatusOr<Value> DefaultFilter(const Value& input, const Arguments& arguments,
                              Budget*) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          arguments.Bind({"default_value", "boolean"}));
  const bool of_false = bound[1] && bound[1]->IsTrue();
  if (!input.Is<Undefined>() && (!of_false || input.IsTrue())) return input;
  return bound[0].value_or(Text());
}

StatusOr<Value> ToJsonFilter(const Value& input, const Arguments& arguments,
                             Budget* budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      arguments.Bind({"ensure_ascii", "indent", "separators", "sort_keys"}));
  if ((bound[0] && bound[0]->IsTrue()) || (bound[2] && !bound[2]->IsNone())) {
    return InvalidArgument("'ensure_ascii' and 'separators' are not supported");
  }
  JsonFormat format;
  format.sort_keys = bound[3] && bound[3]->IsTrue();
  if (bound[1] && !bound[1]->IsNone()) {
    format.indent = bound[1]->integer();
    if (!format.indent) {
      return InvalidArgument("'indent' is of type {}, expected an int",
                             bound[1]->TypeName());
    }
  }
  TANDEM_ASSIGN_OR_RETURN(Text json, ToJson(input, format, budget));
  return MakeText(std::move(json), budget);
}

// All of `text` as a number, or nothing.
template <typename T>
std::optional<T> ParseNumber(const Text& text) {
  std::string_view digits = text.bytes();
  digits.remove_prefix(LeadingWhitespace(digits));
  digits.remove_suffix(TrailingWhitespace(digits));
  if (digits.starts_with('+')) digits.remove_prefix(1);
  T number;
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, number);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return number;
}

Value Truncate(double number, const Value& otherwise) {
  if (!(std::abs(number) < 9e18)) return otherwise;  // NaN, too
  return Value(static_cast<int64_t>(number));
}

StatusOr<Value> IntFilter(const Value& input, const Arguments& arguments,
                          Budget*) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound, arguments.Bind({"default"}));
  const Value otherwise = bound[0].value_or(int64_t{0});
  if (const auto integer = input.integer()) return Value(*integer);
  if (const double* number = input.floating()) {
    return Truncate(*number, otherwise);
  }
  if (input.text() == nullptr) return otherwise;
  if (const auto integer = ParseNumber<int64_t>(*input.text())) {
    return Value(*integer);
  }
  const auto number = ParseNumber<double>(*input.text());
  return number ? Truncate(*number, otherwise) : otherwise;
}

StatusOr<Value> FloatFilter(const Value& input, const Arguments& arguments,
                            Budget*) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound, arguments.Bind({"default"}));
  if (const auto integer = input.integer()) {
    return Value(static_cast<double>(*integer));
  }
  if (const double* number = input.floating()) return Value(*number);
  if (input.text()) {
    if (const auto number = ParseNumber<double>(*input.text())) {
      return Value(*number);
    }
  }
  return bound[0].value_or(0.0);
}

StatusOr<Value> AbsFilter(const Value& input, const Arguments& arguments,
                          Budget*) {
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  if (const double* number = input.floating()) return Value(std::abs(*number));
  const auto integer = input.integer();
  if (!integer || *integer == INT64_MIN) {
    return InvalidArgument("abs of a value of type {}", input.TypeName());
  }
  return Value(std::abs(*integer));
}

const Filter* FindFilter(std::string_view name) {
  for (const auto* filters : {&ValueFilters(), &ListFilters()}) {
    for (const Filter& filter : *filters) {
      if (filter.name == name) return &filter;
    }
  }
  return nullptr;
}

std::string KnownFilters() {
  std::string known;
  for (const auto* filters : {&ValueFilters(), &ListFilters()}) {
    for (const Filter& filter : *filters) {
      known += (known.empty() ? "" : ", ") + std::string(filter.name);
    }
  }
  return known;
}

}  // namespace

const std::vector<Filter>& ValueFilters() {
  static const std::vector<Filter> filters = {
      {"abs", AbsFilter},
      {"capitalize", CaseFilter<LetterCase::kCapitalized>},
      {"d", DefaultFilter},
      {"default", DefaultFilter},
      {"float", FloatFilter},
      {"int", IntFilter},
      {"lower", CaseFilter<LetterCase::kLower>},
      {"replace", ReplaceFilter},
      {"string", StringFilter},
      {"title", CaseFilter<LetterCase::kTitleFilter>},
      {"tojson", ToJsonFilter},
      {"trim", TrimFilter},
      {"upper", CaseFilter<LetterCase::kUpper>},
  };
  return filters;
}

StatusOr<Value> ApplyFilter(std::string_view name, const Value& input,
                            const Arguments& arguments, Budget* budget) {
  TANDEM_RETURN_IF_ERROR(budget->Spend(kNodeUnits));
  const Filter* filter = FindFilter(name);
  if (filter == nullptr) {
    return InvalidArgument("filter '{}' is not supported; known are {}", name,
                           KnownFilters());
  }
  StatusOr<Value> output = filter->function(input, arguments, budget);
  if (output.ok()) return output;
  return Annotate(output.status(), fmt::format("filter '{}'", name));
}

}  // namespace tandem::jinja
