#include "model/jinja_methods.h"

#include <algorithm>
#include <string>

#include "model/jinja_format.h"
#include "model/jinja_strings.h"

namespace tandem::jinja {
namespace {

// One call: the text, its arguments bound to the method's parameters.
struct TextCall {
  const Text& text;
  std::vector<std::optional<Value>> arguments;
  Budget* budget;

  bool Has(size_t i) const { return arguments[i] && !arguments[i]->IsNone(); }
  StatusOr<const Text*> TextAt(size_t i) const {
    if (arguments[i] && arguments[i]->text()) return arguments[i]->text();
    return InvalidArgument("argument {} is of type {}, expected a str", i + 1,
                           arguments[i] ? arguments[i]->TypeName() : "nothing");
  }
  StatusOr<int64_t> IntegerAt(size_t i, int64_t otherwise) const {
    if (!arguments[i]) return otherwise;
    if (const auto integer = arguments[i]->integer()) return *integer;
    return InvalidArgument("argument {} is of type {}, expected an int", i + 1,
                           arguments[i]->TypeName());
  }
};

using TextFunction = StatusOr<Value> (*)(const TextCall&);

StatusOr<Value> TextList(std::vector<Text> texts, Budget* budget) {
  std::vector<Value> items;
  items.reserve(texts.size());
  for (Text& text : texts) {
    TANDEM_ASSIGN_OR_RETURN(Value item, MakeText(std::move(text), budget));
    items.push_back(std::move(item));
  }
  return MakeSequence(std::move(items), SequenceForm::kList, budget);
}

template <Side side>
StatusOr<Value> StripMethod(const TextCall& call) {
  if (!call.Has(0)) return MakeText(Strip(call.text, side), call.budget);
  TANDEM_ASSIGN_OR_RETURN(const Text* chars, call.TextAt(0));
  TANDEM_RETURN_IF_ERROR(call.budget->Spend(call.text.size() + chars->size()));
  return MakeText(Strip(call.text, chars->bytes(), side), call.budget);
}

template <LetterCase letter_case>
StatusOr<Value> CaseMethod(const TextCall& call) {
  TANDEM_ASSIGN_OR_RETURN(Text changed, ChangeCase(call.text, letter_case));
  return MakeText(std::move(changed), call.budget);
}

template <bool from_right>
StatusOr<Value> SplitMethod(const TextCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const int64_t limit, call.IntegerAt(1, -1));
  TANDEM_RETURN_IF_ERROR(call.budget->Spend(call.text.size()));
  if (!call.Has(0)) {
    if (from_right && limit >= 0) {
      return InvalidArgument("rsplit() at whitespace with a limit");
    }
    return TextList(SplitWhitespace(call.text, limit), call.budget);
  }
  TANDEM_ASSIGN_OR_RETURN(const Text* separator, call.TextAt(0));
  if (separator->empty()) return InvalidArgument("split() at nothing");
  return TextList(from_right
                      ? SplitFromRight(call.text, separator->bytes(), limit)
                      : Split(call.text, separator->bytes(), limit),
                  call.budget);
}

StatusOr<Value> SplitLinesMethod(const TextCall& call) {
  const bool keep_ends = call.Has(0) && call.arguments[0]->IsTrue();
  return TextList(SplitLines(call.text, keep_ends), call.budget);
}

// startswith() and endswith(): of one text, or of any in a tuple.
template <bool at_end>
StatusOr<Value> AffixMethod(const TextCall& call) {
  std::vector<Value> affixes;
  if (call.Has(0)) affixes.push_back(*call.arguments[0]);
  if (call.Has(0) && call.arguments[0]->IsList(SequenceForm::kTuple)) {
    affixes = call.arguments[0]->sequence()->items;
  } else {
    TANDEM_RETURN_IF_ERROR(call.TextAt(0).status());
  }
  const std::string_view bytes = call.text.bytes();
  bool found = false;
  for (const Value& affix : affixes) {
    if (affix.text() == nullptr) {
      return InvalidArgument("a tuple with a {}, expected a str",
                             affix.TypeName());
    }
    const std::string& wanted = affix.text()->bytes();
    found |= at_end ? bytes.ends_with(wanted) : bytes.starts_with(wanted);
  }
  return Value(found);
}

template <bool at_end>
StatusOr<Value> RemoveAffixMethod(const TextCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const Text* affix, call.TextAt(0));
  const std::string_view bytes = call.text.bytes();
  const bool found = at_end ? bytes.ends_with(affix->bytes())
                            : bytes.starts_with(affix->bytes());
  const size_t cut = found ? affix->size() : 0;
  return MakeText(call.text.Slice(at_end ? 0 : cut,
                                  at_end ? bytes.size() - cut : bytes.size()),
                  call.budget);
}

StatusOr<Value> ReplaceMethod(const TextCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const Text* old, call.TextAt(0));
  TANDEM_ASSIGN_OR_RETURN(const Text* with, call.TextAt(1));
  TANDEM_ASSIGN_OR_RETURN(const int64_t limit, call.IntegerAt(2, -1));
  if (old->empty()) return InvalidArgument("replace() of nothing");
  const size_t most = call.text.size() / old->size();
  TANDEM_RETURN_IF_ERROR(
      call.budget->Spend(call.text.size() + most * with->size()));
  return MakeText(Replace(call.text, old->bytes(), *with, limit), call.budget);
}

StatusOr<Value> FindMethod(const TextCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const Text* wanted, call.TextAt(0));
  TANDEM_RETURN_IF_ERROR(call.budget->Spend(2 * call.text.size()));
  const std::string_view bytes = call.text.bytes();
  const size_t at = bytes.find(wanted->bytes());
  if (at == std::string_view::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(CountCodePoints(bytes.substr(0, at))));
}

StatusOr<Value> CountMethod(const TextCall& call) {
  TANDEM_ASSIGN_OR_RETURN(const Text* wanted, call.TextAt(0));
  if (wanted->empty()) return InvalidArgument("count() of nothing");
  TANDEM_RETURN_IF_ERROR(call.budget->Spend(call.text.size()));
  int64_t count = 0;
  const std::string& bytes = call.text.bytes();
  for (size_t at = bytes.find(wanted->bytes()); at != std::string::npos;
       at = bytes.find(wanted->bytes(), at + wanted->size())) {
    ++count;
  }
  return Value(count);
}

StatusOr<Value> JoinMethod(const TextCall& call) {
  if (!call.Has(0)) return InvalidArgument("join() of nothing");
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> items,
                          Iterate(*call.arguments[0], call.budget));
  Text joined;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].text() == nullptr) {
      return InvalidArgument("join() of a {}, expected a str",
                             items[i].TypeName());
    }
    TANDEM_RETURN_IF_ERROR(
        call.budget->Spend(call.text.size() + items[i].text()->size()));
    if (i > 0) joined.Append(call.text);
    joined.Append(*items[i].text());
  }
  return MakeText(std::move(joined), call.budget);
}

struct TextMethod {
  std::string_view name;
  std::vector<std::string> parameters;
  TextFunction function;
};

const std::vector<TextMethod>& TextMethods() {
  static const std::vector<TextMethod> methods = {
      {"strip", {"chars"}, StripMethod<Side::kBoth>},
      {"lstrip", {"chars"}, StripMethod<Side::kLeft>},
      {"rstrip", {"chars"}, StripMethod<Side::kRight>},
      {"split", {"sep", "maxsplit"}, SplitMethod<false>},
      {"rsplit", {"sep", "maxsplit"}, SplitMethod<true>},
      {"splitlines", {"keepends"}, SplitLinesMethod},
      {"startswith", {"prefix"}, AffixMethod<false>},
      {"endswith", {"suffix"}, AffixMethod<true>},
      {"removeprefix", {"prefix"}, RemoveAffixMethod<false>},
      {"removesuffix", {"suffix"}, RemoveAffixMethod<true>},
      {"replace", {"old", "new", "count"}, ReplaceMethod},
      {"find", {"sub"}, FindMethod},
      {"count", {"sub"}, CountMethod},
      {"join", {"iterable"}, JoinMethod},
      {"upper", {}, CaseMethod<LetterCase::kUpper>},
      {"lower", {}, CaseMethod<LetterCase::kLower>},
      {"capitalize", {}, CaseMethod<LetterCase::kCapitalized>},
      {"title", {}, CaseMethod<LetterCase::kTitle>},
  };
  return methods;
}

}  // namespace

StatusOr<Value> CallTextMethod(const Value& object, std::string_view name,
                               const Arguments& arguments, Budget* budget) {
  std::string known;
  for (const TextMethod& method : TextMethods()) {
    known += (known.empty() ? "" : ", ") + std::string(method.name);
    if (method.name != name) continue;
    TANDEM_ASSIGN_OR_RETURN(auto bound, arguments.Bind(method.parameters));
    return method.function({*object.text(), std::move(bound), budget});
  }
  return InvalidArgument("method '{}' of a str is not supported; known are {}",
                         name, known);
}

StatusOr<Value> DictItems(const Dict& dict, SequenceForm form, Budget* budget) {
  std::vector<Value> items;
  items.reserve(dict.items.size());
  for (const auto& [key, value] : dict.items) {
    TANDEM_ASSIGN_OR_RETURN(Value text, MakeText(key, budget));
    TANDEM_ASSIGN_OR_RETURN(
        Value item, MakeSequence({text, value}, SequenceForm::kTuple, budget));
    items.push_back(std::move(item));
  }
  return MakeSequence(std::move(items), form, budget);
}

StatusOr<Value> CallDictMethod(const Value& object, std::string_view name,
                               const Arguments& arguments, Budget* budget) {
  const Dict& dict = *object.dict();
  if (name == "get") {
    TANDEM_ASSIGN_OR_RETURN(const auto bound,
                            arguments.Bind({"key", "default"}));
    if (!bound[0]) return InvalidArgument("get() without a key");
    const Text* key = bound[0]->text();
    const Value* found = key ? dict.Find(key->bytes()) : nullptr;
    return found != nullptr ? *found : bound[1].value_or(None{});
  }
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  if (name == "items") return DictItems(dict, SequenceForm::kView, budget);
  std::vector<Value> items;
  if (name == "keys") {
    TANDEM_ASSIGN_OR_RETURN(items, Iterate(object, budget));
  } else if (name == "values") {
    items.reserve(dict.items.size());
    for (const auto& [key, value] : dict.items) items.push_back(value);
  } else {
    return InvalidArgument(
        "method '{}' of a dict is not supported; known are get, items, keys, "
        "values",
        name);
  }
  return MakeSequence(std::move(items), SequenceForm::kView, budget);
}

}  // namespace tandem::jinja
