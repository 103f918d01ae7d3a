// Filters of lists: what transformers' templates pick messages and tools with.
#include <algorithm>

#include "model/jinja_attributes.h"
#include "model/jinja_filters.h"
#include "model/jinja_format.h"
#include "model/jinja_methods.h"
#include "model/jinja_tests.h"

namespace tandem::jinja {
namespace {

StatusOr<Value> LengthFilter(const Value& input, const Arguments& arguments,
                             Budget* budget) {
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  TANDEM_ASSIGN_OR_RETURN(const int64_t length, Length(input, budget));
  return Value(length);
}

StatusOr<Value> ListFilter(const Value& input, const Arguments& arguments,
                           Budget* budget) {
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  TANDEM_ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(input, budget));
  return MakeSequence(std::move(items), SequenceForm::kList, budget);
}

StatusOr<Value> ItemsFilter(const Value& input, const Arguments& arguments,
                            Budget* budget) {
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  if (input.dict() == nullptr && !input.Is<Undefined>()) {
    return InvalidArgument("of a value of type {}, expected a dict",
                           input.TypeName());
  }
  const Dict nothing;
  return DictItems(input.dict() ? *input.dict() : nothing,
                   SequenceForm::kGenerator, budget);
}

template <bool last>
StatusOr<Value> EndFilter(const Value& input, const Arguments& arguments,
                          Budget* budget) {
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  if (last && input.IsList(SequenceForm::kGenerator)) {
    return InvalidArgument("a generator's end is not known; use |list");
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> items,
                          Iterate(input, budget));
  if (items.empty()) return Value(Undefined{last ? "last" : "first"});
  return last ? items.back() : items.front();
}

StatusOr<Value> ReverseFilter(const Value& input, const Arguments& arguments,
                              Budget* budget) {
  TANDEM_RETURN_IF_ERROR(arguments.Bind({}).status());
  TANDEM_ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(input, budget));
  std::reverse(items.begin(), items.end());
  if (input.text() == nullptr) {
    return MakeSequence(std::move(items), SequenceForm::kGenerator, budget);
  }
  Text reversed;
  for (const Value& character : items) reversed.Append(*character.text());
  return MakeText(std::move(reversed), budget);
}

StatusOr<Value> JoinFilter(const Value& input, const Arguments& arguments,
                           Budget* budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound, arguments.Bind({"d", "attribute"}));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> items,
                          Iterate(input, budget));
  TANDEM_ASSIGN_OR_RETURN(const Text separator,
                          ToText(bound[0].value_or(Text()), budget));
  Text joined;
  for (size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (bound[1] && !bound[1]->IsNone()) {
      TANDEM_ASSIGN_OR_RETURN(item, AttributePath(item, *bound[1], budget));
    }
    TANDEM_ASSIGN_OR_RETURN(const Text text, ToText(item, budget));
    TANDEM_RETURN_IF_ERROR(budget->Spend(separator.size()));
    if (i > 0) joined.Append(separator);
    joined.Append(text);
  }
  return MakeText(std::move(joined), budget);
}

// The first argument of map and selectattr, and the rest of them.
StatusOr<std::pair<std::string, Arguments>> SplitFirst(
    const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.positional[0].text()) {
    return InvalidArgument("takes a name first");
  }
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  return std::pair(arguments.positional[0].text()->bytes(), std::move(rest));
}

StatusOr<Value> MapAttribute(const Value& item, const Arguments& arguments,
                             Budget* budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          arguments.Bind({"attribute", "default"}));
  TANDEM_ASSIGN_OR_RETURN(Value value, AttributePath(item, *bound[0], budget));
  if (value.Is<Undefined>() && bound[1]) return *bound[1];
  return value;
}

StatusOr<Value> MapFilter(const Value& input, const Arguments& arguments,
                          Budget* budget) {
  const bool by_attribute =
      arguments.positional.empty() && !arguments.named.empty() &&
      std::any_of(arguments.named.begin(), arguments.named.end(),
                  [](const auto& named) { return named.first == "attribute"; });
  std::pair<std::string, Arguments> filter;
  if (!by_attribute) {
    TANDEM_ASSIGN_OR_RETURN(filter, SplitFirst(arguments));
  }
  TANDEM_ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(input, budget));
  for (Value& item : items) {
    TANDEM_ASSIGN_OR_RETURN(
        item, by_attribute
                  ? MapAttribute(item, arguments, budget)
                  : ApplyFilter(filter.first, item, filter.second, budget));
  }
  return MakeSequence(std::move(items), SequenceForm::kGenerator, budget);
}

// select, reject, selectattr, rejectattr: items, or an attribute of theirs,
// that pass a test, or do not; without a test, that are true.
template <bool of_attribute, bool wanted>
StatusOr<Value> SelectFilter(const Value& input, const Arguments& arguments,
                             Budget* budget) {
  Arguments test = arguments;
  Value attribute;
  if (of_attribute) {
    if (test.positional.empty()) {
      return InvalidArgument("takes the name of an attribute");
    }
    attribute = test.positional[0];
    test.positional.erase(test.positional.begin());
  }
  std::pair<std::string, Arguments> named;
  const bool of_truth = test.positional.empty();
  if (!of_truth) {
    TANDEM_ASSIGN_OR_RETURN(named, SplitFirst(test));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> items,
                          Iterate(input, budget));
  std::vector<Value> selected;
  for (const Value& item : items) {
    Value tested = item;
    if (of_attribute) {
      TANDEM_ASSIGN_OR_RETURN(tested, AttributePath(item, attribute, budget));
    }
    bool passes = tested.IsTrue();
    if (!of_truth) {
      TANDEM_ASSIGN_OR_RETURN(
          passes, ApplyTest(named.first, tested, named.second, budget));
    }
    if (passes == wanted) selected.push_back(item);
  }
  return MakeSequence(std::move(selected), SequenceForm::kGenerator, budget);
}

}  // namespace

const std::vector<Filter>& ListFilters() {
  static const std::vector<Filter> filters = {
      {"count", LengthFilter},
      {"first", EndFilter<false>},
      {"items", ItemsFilter},
      {"join", JoinFilter},
      {"last", EndFilter<true>},
      {"length", LengthFilter},
      {"list", ListFilter},
      {"map", MapFilter},
      {"reject", SelectFilter<false, false>},
      {"rejectattr", SelectFilter<true, false>},
      {"reverse", ReverseFilter},
      {"select", SelectFilter<false, true>},
      {"selectattr", SelectFilter<true, true>},
  };
  return filters;
}

}  // namespace tandem::jinja
