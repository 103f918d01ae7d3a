#include "model/jinja_value.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace tandem::jinja {
namespace {

constexpr int kMaxDepth = 64;  // of lists and dicts in each other
constexpr int kNeverNested = std::numeric_limits<int>::max() - 1;

Status CheckDepth(int depth) {
  if (depth <= kMaxDepth) return OkStatus();
  return InvalidArgument(
      "lists nest deeper than {} levels, or hold a namespace or a macro",
      kMaxDepth);
}

StatusOr<Value> ObjectFromJson(const nlohmann::ordered_json& json,
                               Origin origin, Budget* budget) {
  Dict dict;
  for (const auto& [key, item] : json.items()) {
    TANDEM_ASSIGN_OR_RETURN(Value value, FromJson(item, origin, budget));
    dict.Set(Text(key, origin), std::move(value));
  }
  return MakeDict(std::move(dict), budget);
}

StatusOr<Value> ArrayFromJson(const nlohmann::ordered_json& json, Origin origin,
                              Budget* budget) {
  std::vector<Value> items;
  items.reserve(json.size());
  for (const nlohmann::ordered_json& item : json) {
    TANDEM_ASSIGN_OR_RETURN(Value value, FromJson(item, origin, budget));
    items.push_back(std::move(value));
  }
  return MakeSequence(std::move(items), SequenceForm::kList, budget);
}

}  // namespace

const Value* Dict::Find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    if (name.bytes() == key) return &value;
  }
  return nullptr;
}

void Dict::Set(const Text& key, Value value) {
  for (auto& [name, old] : items) {
    if (name.bytes() != key.bytes()) continue;
    old = std::move(value);
    return;
  }
  items.emplace_back(key, std::move(value));
}

Namespace* Value::name_space() const {
  const auto* pointer = std::get_if<std::shared_ptr<Namespace>>(&data_);
  return pointer == nullptr ? nullptr : pointer->get();
}

std::optional<int64_t> Value::integer() const {
  if (const auto* value = std::get_if<int64_t>(&data_)) return *value;
  if (const bool* value = boolean()) return *value ? 1 : 0;
  return std::nullopt;
}

bool Value::IsList(SequenceForm form) const {
  return sequence() != nullptr && sequence()->form == form;
}

std::shared_ptr<const Sequence> Value::shared_sequence() const {
  const auto* pointer = std::get_if<std::shared_ptr<const Sequence>>(&data_);
  return pointer == nullptr ? nullptr : *pointer;
}

std::string Value::TypeName() const {
  constexpr const char* kNames[] = {"undefined", "None", "bool",  "int",
                                    "float",     "str",  "list",  "dict",
                                    "namespace", "loop", "macro", "function"};
  static_assert(std::size(kNames) == std::variant_size_v<decltype(data_)>);
  if (IsList(SequenceForm::kTuple)) return "tuple";
  if (IsList(SequenceForm::kView)) return "view";
  if (IsList(SequenceForm::kGenerator)) return "generator";
  return kNames[data_.index()];
}

bool Value::IsTrue() const {
  if (Is<Undefined>() || IsNone()) return false;
  if (const bool* value = boolean()) return *value;
  if (const auto* value = std::get_if<int64_t>(&data_)) return *value != 0;
  if (const double* value = floating()) return *value != 0;
  if (const Text* value = text()) return !value->empty();
  if (const Dict* value = dict()) return !value->items.empty();
  if (const Sequence* value = sequence()) {
    return value->form == SequenceForm::kGenerator || !value->items.empty();
  }
  return true;
}

int Value::depth() const {
  if (const Sequence* value = sequence()) return value->depth;
  if (const Dict* value = dict()) return value->depth;
  if (const Loop* value = loop()) return value->items->depth;
  return name_space() != nullptr || macro() != nullptr ? kNeverNested : 0;
}

StatusOr<Value> MakeText(Text text, Budget* budget) {
  TANDEM_RETURN_IF_ERROR(
      budget->Spend(text.size() + kNodeUnits * (1 + text.runs().size())));
  return Value(std::move(text));
}

StatusOr<Value> MakeSequence(std::vector<Value> items, SequenceForm form,
                             Budget* budget) {
  TANDEM_RETURN_IF_ERROR(budget->Spend(kNodeUnits * (1 + items.size())));
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  TANDEM_RETURN_IF_ERROR(CheckDepth(depth + 1));
  Value value;
  value.data_ = std::make_shared<const Sequence>(
      Sequence{std::move(items), form, depth + 1});
  return value;
}

StatusOr<Value> MakeDict(Dict dict, Budget* budget) {
  TANDEM_RETURN_IF_ERROR(budget->Spend(kNodeUnits * (1 + dict.items.size())));
  int depth = 0;
  for (const auto& [key, item] : dict.items) {
    depth = std::max(depth, item.depth());
  }
  TANDEM_RETURN_IF_ERROR(CheckDepth(depth + 1));
  dict.depth = depth + 1;
  Value value;
  value.data_ = std::make_shared<const Dict>(std::move(dict));
  return value;
}

StatusOr<Value> FromJson(const nlohmann::ordered_json& json, Origin origin,
                         Budget* budget) {
  if (json.is_null()) return Value(None{});
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > std::numeric_limits<int64_t>::max()) {
    return InvalidArgument("{} is beyond 64 bits", json.get<uint64_t>());
  }
  if (json.is_number_integer()) return Value(json.get<int64_t>());
  if (json.is_number()) return Value(json.get<double>());
  if (json.is_object()) return ObjectFromJson(json, origin, budget);
  if (json.is_array()) return ArrayFromJson(json, origin, budget);
  return MakeText(Text(json.get<std::string>(), origin), budget);
}

StatusOr<std::vector<Value>> Iterate(const Value& value, Budget* budget) {
  std::vector<Value> items;
  if (const Sequence* sequence = value.sequence()) {
    TANDEM_RETURN_IF_ERROR(budget->Spend(kNodeUnits * sequence->items.size()));
    return sequence->items;
  }
  if (const Dict* dict = value.dict()) {
    items.reserve(dict->items.size());
    for (const auto& [key, item] : dict->items) {
      TANDEM_ASSIGN_OR_RETURN(Value text, MakeText(key, budget));
      items.push_back(std::move(text));
    }
  } else if (const Text* text = value.text()) {
    const std::vector<size_t> starts = CodePointStarts(text->bytes());
    TANDEM_RETURN_IF_ERROR(budget->Spend(2 * kNodeUnits * starts.size()));
    items.reserve(starts.size());
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      items.emplace_back(text->Slice(starts[i], starts[i + 1]));
    }
  } else if (!value.Is<Undefined>()) {
    return InvalidArgument("cannot iterate over a value of type {}",
                           value.TypeName());
  }
  return items;
}

StatusOr<int64_t> Length(const Value& value, Budget* budget) {
  if (value.Is<Undefined>()) return 0;
  if (const Dict* dict = value.dict()) {
    return static_cast<int64_t>(dict->items.size());
  }
  if (const Text* text = value.text()) {
    TANDEM_RETURN_IF_ERROR(budget->Spend(text->size()));
    return static_cast<int64_t>(CountCodePoints(text->bytes()));
  }
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || sequence->form == SequenceForm::kGenerator) {
    return InvalidArgument("a value of type {} has no length",
                           value.TypeName());
  }
  return static_cast<int64_t>(sequence->items.size());
}

}  // namespace tandem::jinja
