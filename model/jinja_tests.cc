#include "model/jinja_tests.h"

#include <iterator>
#include <string>

#include "model/jinja_operators.h"

namespace tandem::jinja {
namespace {

// Of a value alone.
struct PlainTest {
  std::string_view name;
  bool (*holds)(const Value& value);
};

bool IsIterable(const Value& value) {
  return value.text() || value.dict() || value.sequence() ||
         value.Is<Undefined>();
}

bool IsSequence(const Value& value) {
  const bool is_generator = value.IsList(SequenceForm::kGenerator) ||
                            value.IsList(SequenceForm::kView);
  return IsIterable(value) && !is_generator;
}

constexpr PlainTest kPlainTests[] = {
    {"defined", [](const Value& v) { return !v.Is<Undefined>(); }},
    {"undefined", [](const Value& v) { return v.Is<Undefined>(); }},
    {"none", [](const Value& v) { return v.IsNone(); }},
    {"boolean", [](const Value& v) { return v.Is<bool>(); }},
    {"true", [](const Value& v) { return v.Is<bool>() && v.IsTrue(); }},
    {"false", [](const Value& v) { return v.Is<bool>() && !v.IsTrue(); }},
    {"integer", [](const Value& v) { return v.Is<int64_t>(); }},
    {"float", [](const Value& v) { return v.Is<double>(); }},
    {"number",
     [](const Value& v) { return v.integer().has_value() || v.Is<double>(); }},
    {"string", [](const Value& v) { return v.text() != nullptr; }},
    {"mapping", [](const Value& v) { return v.dict() != nullptr; }},
    {"iterable", IsIterable},
    {"sequence", IsSequence},
    {"callable",
     [](const Value& v) {
       return v.macro() != nullptr || v.builtin() != nullptr;
     }},
};

// Of a value and another: the operator that each is a name of.
struct ComparingTest {
  std::string_view name, symbol;
};
constexpr ComparingTest kComparingTests[] = {
    {"eq", "=="}, {"equalto", "=="}, {"==", "=="},      {"ne", "!="},
    {"!=", "!="}, {"lt", "<"},       {"lessthan", "<"}, {"<", "<"},
    {"le", "<="}, {"<=", "<="},      {"gt", ">"},       {"greaterthan", ">"},
    {">", ">"},   {"ge", ">="},      {">=", ">="},      {"in", "in"},
};

StatusOr<bool> IsMultiple(const Value& value, int64_t divisor, int64_t rest) {
  const auto number = value.integer();
  if (!number || divisor == 0) {
    return InvalidArgument("takes integers, and none is divisible by 0");
  }
  if (divisor == -1) return rest == 0;
  return std::abs(*number % divisor) == rest;
}

StatusOr<bool> ApplyIntegerTest(std::string_view name, const Value& value,
                                const Arguments& arguments) {
  if (name != "divisibleby") return IsMultiple(value, 2, name == "odd");
  TANDEM_ASSIGN_OR_RETURN(const auto bound, arguments.Bind({"num"}));
  if (!bound[0]) return InvalidArgument("takes a number to divide by");
  return IsMultiple(value, bound[0]->integer().value_or(0), 0);
}

StatusOr<bool> ApplyKnown(std::string_view name, const Value& value,
                          const Arguments& arguments, Budget* budget) {
  for (const PlainTest& test : kPlainTests) {
    if (test.name != name) continue;
    TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
    return test.holds(value);
  }
  for (const ComparingTest& test : kComparingTests) {
    if (test.name != name) continue;
    TANDEM_ASSIGN_OR_RETURN(const auto bound, arguments.Bind({"other"}));
    if (!bound[0]) return InvalidArgument("takes a value to compare with");
    return Compare(test.symbol, value, *bound[0], budget);
  }
  return ApplyIntegerTest(name, value, arguments);
}

bool IsKnown(std::string_view name) {
  for (const PlainTest& test : kPlainTests) {
    if (test.name == name) return true;
  }
  for (const ComparingTest& test : kComparingTests) {
    if (test.name == name) return true;
  }
  return name == "odd" || name == "even" || name == "divisibleby";
}

std::string KnownTests() {
  std::string known = "odd, even, divisibleby";
  for (const PlainTest& test : kPlainTests) {
    known += ", " + std::string(test.name);
  }
  for (const ComparingTest& test : kComparingTests) {
    known += ", " + std::string(test.name);
  }
  return known;
}

}  // namespace

StatusOr<bool> ApplyTest(std::string_view name, const Value& value,
                         const Arguments& arguments, Budget* budget) {
  TANDEM_RETURN_IF_ERROR(budget->Spend(kNodeUnits));
  if (!IsKnown(name)) {
    return InvalidArgument("test '{}' is not supported; known are {}", name,
                           KnownTests());
  }
  StatusOr<bool> passes = ApplyKnown(name, value, arguments, budget);
  if (passes.ok()) return passes;
  return Annotate(passes.status(), fmt::format("test '{}'", name));
}

}  // namespace tandem::jinja
