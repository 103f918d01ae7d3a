#include "model/jinja_operators.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace tandem::jinja {
namespace {

Status WrongTypes(std::string_view symbol, const Value& left,
                  const Value& right) {
  for (const Value* value : {&left, &right}) {
    if (const Undefined* undefined = value->undefined()) {
      return InvalidArgument("'{}' is undefined", undefined->name);
    }
  }
  return InvalidArgument("operator '{}' of {} and {} is not supported", symbol,
                         left.TypeName(), right.TypeName());
}

std::optional<double> AsDouble(const Value& value) {
  if (const double* number = value.floating()) return *number;
  if (const auto number = value.integer()) return static_cast<double>(*number);
  return std::nullopt;
}

int64_t FloorQuotient(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

// False where the result does not fit.
bool IntegerPower(int64_t base, int64_t exponent, int64_t* result) {
  *result = 1;
  for (int64_t i = 0; i < exponent; ++i) {
    if (*result == 0 || (*result == 1 && i > 0 && base == 1)) return true;
    if (base == -1 && i >= 2) {
      *result = exponent % 2 == 0 ? 1 : -1;
      return true;
    }
    if (__builtin_mul_overflow(*result, base, result)) return false;
  }
  return true;
}

StatusOr<Value> IntegerArithmetic(std::string_view symbol, int64_t a,
                                  int64_t b) {
  const bool divides = symbol == "//" || symbol == "%" || symbol == "/";
  if (divides && b == 0) return InvalidArgument("{} {} 0", a, symbol);
  if (symbol == "/") {
    return Value(static_cast<double>(a) / static_cast<double>(b));
  }
  int64_t result = 0;
  bool fits = true;
  if (symbol == "+") {
    fits = !__builtin_add_overflow(a, b, &result);
  } else if (symbol == "-") {
    fits = !__builtin_sub_overflow(a, b, &result);
  } else if (symbol == "*") {
    fits = !__builtin_mul_overflow(a, b, &result);
  } else if (symbol == "**") {
    if (b < 0) return Value(std::pow(static_cast<double>(a), b));
    fits = IntegerPower(a, b, &result);
  } else if (b == -1) {  // the one quotient that can overflow
    fits = symbol == "%" || !__builtin_sub_overflow(int64_t{0}, a, &result);
  } else if (symbol == "//") {
    result = FloorQuotient(a, b);
  } else {
    result = a - FloorQuotient(a, b) * b;
  }
  if (!fits) return InvalidArgument("{} {} {} is beyond 64 bits", a, symbol, b);
  return Value(result);
}

StatusOr<Value> FloatArithmetic(std::string_view symbol, double a, double b) {
  const bool divides = symbol == "//" || symbol == "%" || symbol == "/";
  if (divides && b == 0) return InvalidArgument("{} {} 0.0", a, symbol);
  if (symbol == "+") return Value(a + b);
  if (symbol == "-") return Value(a - b);
  if (symbol == "*") return Value(a * b);
  if (symbol == "/") return Value(a / b);
  if (symbol == "//") return Value(std::floor(a / b));
  if (symbol == "**") {
    if ((a == 0 && b < 0) || (a < 0 && b != std::floor(b))) {
      return InvalidArgument("{} ** {} is no real number", a, b);
    }
    return Value(std::pow(a, b));
  }
  const double rest = std::fmod(a, b);
  return Value(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

StatusOr<Value> Concatenate(const Value& left, const Value& right,
                            Budget* budget) {
  if (left.text() != nullptr && right.text() != nullptr) {
    TANDEM_RETURN_IF_ERROR(
        budget->Spend(left.text()->size() + right.text()->size()));
    Text joined = *left.text();
    joined.Append(*right.text());
    return MakeText(std::move(joined), budget);
  }
  for (SequenceForm form : {SequenceForm::kList, SequenceForm::kTuple}) {
    if (!left.IsList(form) || !right.IsList(form)) continue;
    std::vector<Value> items = left.sequence()->items;
    const std::vector<Value>& more = right.sequence()->items;
    items.insert(items.end(), more.begin(), more.end());
    return MakeSequence(std::move(items), form, budget);
  }
  return WrongTypes("+", left, right);
}

StatusOr<Value> Repeat(const Value& left, const Value& right, Budget* budget) {
  const bool text_first = left.text() != nullptr;
  const Text* text = text_first ? left.text() : right.text();
  const auto times = (text_first ? right : left).integer();
  if (text == nullptr || !times) return WrongTypes("*", left, right);
  Text repeated;
  for (int64_t i = 0; i < *times && !text->empty(); ++i) {
    TANDEM_RETURN_IF_ERROR(budget->Spend(text->size()));
    repeated.Append(*text);
  }
  return MakeText(std::move(repeated), budget);
}

StatusOr<bool> EqualSequences(const Sequence& left, const Sequence& right,
                              Budget* budget) {
  if (left.form != right.form || left.items.size() != right.items.size()) {
    return false;
  }
  for (size_t i = 0; i < left.items.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const bool same,
                            Equal(left.items[i], right.items[i], budget));
    if (!same) return false;
  }
  return true;
}

StatusOr<bool> EqualDicts(const Dict& left, const Dict& right, Budget* budget) {
  if (left.items.size() != right.items.size()) return false;
  for (const auto& [key, value] : left.items) {
    const Value* other = right.Find(key.bytes());
    if (other == nullptr) return false;
    TANDEM_ASSIGN_OR_RETURN(const bool same, Equal(value, *other, budget));
    if (!same) return false;
  }
  return true;
}

StatusOr<bool> Contains(const Value& item, const Value& container,
                        Budget* budget) {
  if (const Text* text = container.text()) {
    if (item.text() == nullptr) return WrongTypes("in", item, container);
    TANDEM_RETURN_IF_ERROR(budget->Spend(text->size()));
    return text->bytes().find(item.text()->bytes()) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) {
    return item.text() != nullptr && dict->Find(item.text()->bytes());
  }
  if (container.Is<Undefined>()) return false;
  if (container.sequence() == nullptr) {
    return WrongTypes("in", item, container);
  }
  for (const Value& other : container.sequence()->items) {
    TANDEM_ASSIGN_OR_RETURN(const bool same, Equal(item, other, budget));
    if (same) return true;
  }
  return false;
}

StatusOr<bool> LessThanSequences(const Value& left, const Value& right,
                                 Budget* budget) {
  const std::vector<Value>& a = left.sequence()->items;
  const std::vector<Value>& b = right.sequence()->items;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const bool same, Equal(a[i], b[i], budget));
    if (!same) return LessThan(a[i], b[i], budget);
  }
  return a.size() < b.size();
}

// Python's slice.indices(): where to start, how often to step.
struct Steps {
  int64_t first, step, count;
};

StatusOr<std::optional<int64_t>> Bound(const Value& value) {
  if (value.IsNone() || value.Is<Undefined>()) return std::nullopt;
  const auto integer = value.integer();
  if (!integer) {
    return InvalidArgument("a slice's bound is of type {}, expected an int",
                           value.TypeName());
  }
  return integer;
}

StatusOr<Steps> SliceSteps(const Value& begin, const Value& end,
                           const Value& step, int64_t size) {
  TANDEM_ASSIGN_OR_RETURN(const auto first, Bound(begin));
  TANDEM_ASSIGN_OR_RETURN(const auto last, Bound(end));
  TANDEM_ASSIGN_OR_RETURN(const auto given_step, Bound(step));
  const int64_t by = given_step.value_or(1);
  if (by == 0) return InvalidArgument("a slice's step is 0");
  const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
  const auto clamp = [&](std::optional<int64_t> at, int64_t otherwise) {
    if (!at) return otherwise;
    return std::clamp(*at < 0 ? *at + size : *at, low, high);
  };
  const int64_t from = clamp(first, by > 0 ? low : high);
  const int64_t to = clamp(last, by > 0 ? high : low);
  // Steps longer than the list are as good as one of its length.
  const int64_t stride = std::clamp(by, -size - 1, size + 1);
  const int64_t distance = by > 0 ? to - from : from - to;
  const int64_t length = std::abs(stride);
  return Steps{from, stride,
               distance <= 0 ? 0 : (distance + length - 1) / length};
}

}  // namespace

StatusOr<Value> Arithmetic(std::string_view symbol, const Value& left,
                           const Value& right, Budget* budget) {
  const auto a = left.integer(), b = right.integer();
  if (a && b) return IntegerArithmetic(symbol, *a, *b);
  const auto x = AsDouble(left), y = AsDouble(right);
  if (x && y) return FloatArithmetic(symbol, *x, *y);
  if (symbol == "+") return Concatenate(left, right, budget);
  if (symbol == "*") return Repeat(left, right, budget);
  return WrongTypes(symbol, left, right);
}

StatusOr<bool> Equal(const Value& left, const Value& right, Budget* budget) {
  TANDEM_RETURN_IF_ERROR(budget->Spend(kNodeUnits));
  const auto a = left.integer(), b = right.integer();
  if (a && b) return *a == *b;
  const auto x = AsDouble(left), y = AsDouble(right);
  if (x && y) return *x == *y;
  if (left.text() && right.text()) {
    TANDEM_RETURN_IF_ERROR(budget->Spend(left.text()->size()));
    return left.text()->bytes() == right.text()->bytes();
  }
  if (left.sequence() && right.sequence()) {
    return EqualSequences(*left.sequence(), *right.sequence(), budget);
  }
  if (left.dict() && right.dict()) {
    return EqualDicts(*left.dict(), *right.dict(), budget);
  }
  if (left.name_space()) return left.name_space() == right.name_space();
  if (left.macro()) return left.macro() == right.macro();
  return (left.IsNone() && right.IsNone()) ||
         (left.Is<Undefined>() && right.Is<Undefined>());
}

StatusOr<bool> LessThan(const Value& left, const Value& right, Budget* budget) {
  TANDEM_RETURN_IF_ERROR(budget->Spend(kNodeUnits));
  const auto a = left.integer(), b = right.integer();
  if (a && b) return *a < *b;
  const auto x = AsDouble(left), y = AsDouble(right);
  if (x && y) return *x < *y;
  if (left.text() && right.text()) {  // UTF-8 sorts as its code points do
    TANDEM_RETURN_IF_ERROR(budget->Spend(left.text()->size()));
    return left.text()->bytes() < right.text()->bytes();
  }
  for (SequenceForm form : {SequenceForm::kList, SequenceForm::kTuple}) {
    if (!left.IsList(form) || !right.IsList(form)) continue;
    return LessThanSequences(left, right, budget);
  }
  return WrongTypes("<", left, right);
}

StatusOr<bool> Compare(std::string_view symbol, const Value& left,
                       const Value& right, Budget* budget) {
  if (symbol == "in") return Contains(left, right, budget);
  if (symbol == "==") return Equal(left, right, budget);
  if (symbol == "<") return LessThan(left, right, budget);
  if (symbol == ">") return LessThan(right, left, budget);
  if (symbol == "<=" || symbol == ">=") {
    // Not the negation of the other: a NaN is neither.
    const bool ascending = symbol == "<=";
    TANDEM_ASSIGN_OR_RETURN(
        const bool less,
        LessThan(ascending ? left : right, ascending ? right : left, budget));
    if (less) return true;
    return Equal(left, right, budget);
  }
  TANDEM_ASSIGN_OR_RETURN(const bool holds,
                          symbol == "!=" ? Equal(left, right, budget)
                                         : Contains(left, right, budget));
  return !holds;
}

StatusOr<Value> Negate(const Value& value) {
  if (const double* number = value.floating()) return Value(-*number);
  if (const auto number = value.integer()) {
    return IntegerArithmetic("-", 0, *number);
  }
  return InvalidArgument("'-' of a value of type {}", value.TypeName());
}

StatusOr<Value> Item(const Value& object, const Value& key, Budget* budget) {
  if (const Undefined* undefined = object.undefined()) {
    return InvalidArgument("'{}' is undefined", undefined->name);
  }
  const std::string name =
      key.text() ? key.text()->bytes() : std::string("item");
  if (const Dict* dict = object.dict()) {
    const Value* found = key.text() ? dict->Find(name) : nullptr;
    return found == nullptr ? Value(Undefined{name}) : *found;
  }
  const bool has_items = object.text() != nullptr ||
                         object.IsList(SequenceForm::kList) ||
                         object.IsList(SequenceForm::kTuple);
  const auto index = key.integer();
  if (!has_items || !index) return Value(Undefined{name});
  TANDEM_ASSIGN_OR_RETURN(const int64_t size, Length(object, budget));
  const int64_t at = *index < 0 ? *index + size : *index;
  if (at < 0 || at >= size) return Value(Undefined{name});
  if (object.sequence()) {
    return object.sequence()->items[static_cast<size_t>(at)];
  }
  TANDEM_ASSIGN_OR_RETURN(std::vector<Value> characters,
                          Iterate(object, budget));
  return characters[static_cast<size_t>(at)];
}

StatusOr<Value> Slice(const Value& object, const Value& begin, const Value& end,
                      const Value& step, Budget* budget) {
  const bool is_tuple = object.IsList(SequenceForm::kTuple);
  if (!object.text() && !is_tuple && !object.IsList(SequenceForm::kList)) {
    return InvalidArgument("a slice of a value of type {}", object.TypeName());
  }
  TANDEM_ASSIGN_OR_RETURN(const int64_t size, Length(object, budget));
  TANDEM_ASSIGN_OR_RETURN(const Steps steps,
                          SliceSteps(begin, end, step, size));
  if (const Text* text = object.text()) {
    TANDEM_RETURN_IF_ERROR(budget->Spend(kNodeUnits * text->size()));
    const std::vector<size_t> starts = CodePointStarts(text->bytes());
    Text sliced;
    for (int64_t i = 0, at = steps.first; i < steps.count;
         ++i, at += steps.step) {
      const auto start = static_cast<size_t>(at);
      sliced.Append(text->Slice(starts[start], starts[start + 1]));
    }
    return MakeText(std::move(sliced), budget);
  }
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(steps.count));
  for (int64_t i = 0, at = steps.first; i < steps.count;
       ++i, at += steps.step) {
    items.push_back(object.sequence()->items[static_cast<size_t>(at)]);
  }
  return MakeSequence(std::move(items), object.sequence()->form, budget);
}

}  // namespace tandem::jinja
