// What expressions of a template evaluate to, with Python's types and manners.
#ifndef TANDEM_MODEL_JINJA_VALUE_H_
#define TANDEM_MODEL_JINJA_VALUE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/status.h"
#include "model/jinja_budget.h"
#include "model/jinja_text.h"

namespace tandem::jinja {

class Value;
struct Scope;
struct Statement;

struct Undefined {
  std::string name;  // of what is not there, for messages
};
struct None {};

// Python tells these apart where it prints, compares or counts them.
enum class SequenceForm { kList, kTuple, kView, kGenerator };

struct Sequence {
  std::vector<Value> items;
  SequenceForm form = SequenceForm::kList;
  int depth = 1;  // of lists in lists
};

// In the order of insertion. Keys are texts only.
struct Dict {
  std::vector<std::pair<Text, Value>> items;
  int depth = 1;
  const Value* Find(std::string_view key) const;
  // Replaces what is there under that key.
  void Set(const Text& key, Value value);
};

// namespace(): the one thing that a template can change.
struct Namespace {
  std::map<std::string, Value, std::less<>> attributes;
};

// The `loop` of a for statement.
struct Loop {
  std::shared_ptr<const Sequence> items;
  size_t index0 = 0;
  int depth = 1;
};

struct Macro {
  const Statement* definition = nullptr;
  std::weak_ptr<Scope> scope;  // that it was defined in
};

// A function that every template may call: range, namespace, ...
struct Builtin {
  const char* name;
};

class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  Value(None none) : data_(none) {}
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(Text text) : data_(std::make_shared<const Text>(std::move(text))) {}
  Value(std::shared_ptr<Namespace> value) : data_(std::move(value)) {}
  Value(Loop loop) : data_(std::make_shared<const Loop>(std::move(loop))) {}
  Value(Macro macro) : data_(std::make_shared<const Macro>(std::move(macro))) {}
  Value(Builtin builtin) : data_(builtin) {}

  template <typename T>
  bool Is() const {
    return std::holds_alternative<T>(data_);
  }
  // Null where the value is none of these.
  const Text* text() const { return Shared<Text>(); }
  const Sequence* sequence() const { return Shared<Sequence>(); }
  const Dict* dict() const { return Shared<Dict>(); }
  const Loop* loop() const { return Shared<Loop>(); }
  const Macro* macro() const { return Shared<Macro>(); }
  Namespace* name_space() const;
  const Builtin* builtin() const { return std::get_if<Builtin>(&data_); }
  const Undefined* undefined() const { return std::get_if<Undefined>(&data_); }
  const double* floating() const { return std::get_if<double>(&data_); }
  // The integer that an int or a bool stands for in arithmetic.
  std::optional<int64_t> integer() const;
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  bool IsNone() const { return Is<None>(); }
  bool IsList(SequenceForm form) const;

  std::shared_ptr<const Sequence> shared_sequence() const;

  // Python's name for the type: "str", "list", ...
  std::string TypeName() const;
  bool IsTrue() const;
  // How deep lists and dicts nest; more than any limit for a namespace, so that
  // none can be put into what it may itself hold.
  int depth() const;

 private:
  friend StatusOr<Value> MakeSequence(std::vector<Value> items,
                                      SequenceForm form, Budget* budget);
  friend StatusOr<Value> MakeDict(Dict dict, Budget* budget);

  template <typename T>
  const T* Shared() const {
    const auto* pointer = std::get_if<std::shared_ptr<const T>>(&data_);
    return pointer == nullptr ? nullptr : pointer->get();
  }

  std::variant<Undefined, None, bool, int64_t, double,
               std::shared_ptr<const Text>, std::shared_ptr<const Sequence>,
               std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
               std::shared_ptr<const Loop>, std::shared_ptr<const Macro>,
               Builtin>
      data_;
};

// All of these spend what the new value takes, and return InvalidArgument where
// the budget is spent or lists nest too deep.
StatusOr<Value> MakeText(Text text, Budget* budget);
StatusOr<Value> MakeSequence(std::vector<Value> items, SequenceForm form,
                             Budget* budget);
StatusOr<Value> MakeDict(Dict dict, Budget* budget);

// A JSON document; its texts are of `origin`. InvalidArgument for integers
// beyond 64 bits.
StatusOr<Value> FromJson(const nlohmann::ordered_json& json, Origin origin,
                         Budget* budget);

// What a for loop walks through: items, keys, characters. InvalidArgument where
// Python could not iterate.
StatusOr<std::vector<Value>> Iterate(const Value& value, Budget* budget);

// Python's len().
StatusOr<int64_t> Length(const Value& value, Budget* budget);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_VALUE_H_
