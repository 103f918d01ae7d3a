#include "model/jinja_attributes.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "model/jinja_methods.h"
#include "model/jinja_operators.h"

namespace tandem::jinja {
namespace {

// Names that Python finds on its objects before it looks for items.
constexpr std::array kTextAttributes = std::to_array<std::string_view>(
    {"capitalize",   "casefold",     "center",    "count",     "encode",
     "endswith",     "expandtabs",   "find",      "format",    "format_map",
     "index",        "isalnum",      "isalpha",   "isascii",   "isdecimal",
     "isdigit",      "isidentifier", "islower",   "isnumeric", "isprintable",
     "isspace",      "istitle",      "isupper",   "join",      "ljust",
     "lower",        "lstrip",       "maketrans", "partition", "removeprefix",
     "removesuffix", "replace",      "rfind",     "rindex",    "rjust",
     "rpartition",   "rsplit",       "rstrip",    "split",     "splitlines",
     "startswith",   "strip",        "swapcase",  "title",     "translate",
     "upper",        "zfill"});
constexpr std::array kSequenceAttributes = std::to_array<std::string_view>(
    {"append", "clear", "copy", "count", "extend", "index", "insert", "pop",
     "remove", "reverse", "sort"});
constexpr std::array kNumberAttributes = std::to_array<std::string_view>(
    {"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
     "from_bytes", "fromhex", "hex", "imag", "is_integer", "numerator", "real",
     "to_bytes"});
constexpr std::array kDictAttributes = std::to_array<std::string_view>(
    {"clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem",
     "setdefault", "update", "values"});

template <size_t size>
bool IsOneOf(std::string_view name,
             const std::array<std::string_view, size>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsPythonAttribute(const Value& object, std::string_view name) {
  if (name.starts_with("__")) return true;
  if (object.text()) return IsOneOf(name, kTextAttributes);
  if (object.sequence()) return IsOneOf(name, kSequenceAttributes);
  if (object.dict()) return IsOneOf(name, kDictAttributes);
  if (object.integer() || object.floating()) {
    return IsOneOf(name, kNumberAttributes);
  }
  return object.macro() || object.builtin();
}

StatusOr<Value> LoopAttribute(const Loop& loop, std::string_view name) {
  const std::vector<Value>& items = loop.items->items;
  const auto size = static_cast<int64_t>(items.size());
  const auto at = static_cast<int64_t>(loop.index0);
  if (name == "index0") return Value(at);
  if (name == "index") return Value(at + 1);
  if (name == "revindex0") return Value(size - at - 1);
  if (name == "revindex") return Value(size - at);
  if (name == "first") return Value(at == 0);
  if (name == "last") return Value(at + 1 == size);
  if (name == "length") return Value(size);
  if (name == "depth") return Value(int64_t{loop.depth});
  if (name == "depth0") return Value(int64_t{loop.depth} - 1);
  if (name == "previtem") {
    return at == 0 ? Value(Undefined{"loop.previtem"}) : items[loop.index0 - 1];
  }
  if (name == "nextitem") {
    return at + 1 == size ? Value(Undefined{"loop.nextitem"})
                          : items[loop.index0 + 1];
  }
  return InvalidArgument("'loop.{}' is not supported", name);
}

StatusOr<Value> Cycle(const Loop& loop, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty()) {
    return InvalidArgument("loop.cycle() takes values to choose from");
  }
  return arguments.positional[loop.index0 % arguments.positional.size()];
}

}  // namespace

StatusOr<Value> Attribute(const Value& object, std::string_view name) {
  if (const Undefined* undefined = object.undefined()) {
    return InvalidArgument("'{}' is undefined, so it has no '{}'",
                           undefined->name, name);
  }
  if (IsPythonAttribute(object, name)) {
    return InvalidArgument("'.{}' of a value of type {} is not supported", name,
                           object.TypeName());
  }
  if (const Loop* loop = object.loop()) return LoopAttribute(*loop, name);
  if (const Namespace* name_space = object.name_space()) {
    const auto found = name_space->attributes.find(name);
    if (found != name_space->attributes.end()) return found->second;
  }
  if (const Dict* dict = object.dict()) {
    if (const Value* found = dict->Find(name)) return *found;
  }
  return Value(Undefined{std::string(name)});
}

StatusOr<Value> Subscript(const Value& object, const Value& key,
                          Budget* budget) {
  TANDEM_ASSIGN_OR_RETURN(Value item, Item(object, key, budget));
  if (!item.Is<Undefined>() || key.text() == nullptr) return item;
  return Attribute(object, key.text()->bytes());
}

StatusOr<Value> AttributePath(const Value& object, const Value& path,
                              Budget* budget) {
  if (path.text() == nullptr) return Subscript(object, path, budget);
  Value value = object;
  std::string_view rest = path.text()->bytes();
  while (true) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    int64_t index = 0;
    const auto read =
        std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = !part.empty() && part[0] != '-' &&
                          read.ec == std::errc() &&
                          read.ptr == part.data() + part.size();
    TANDEM_ASSIGN_OR_RETURN(
        value,
        Subscript(value, is_index ? Value(index) : Value(Text(part)), budget));
    if (part.size() == rest.size()) return value;
    rest.remove_prefix(part.size() + 1);
  }
}

StatusOr<Value> CallMethod(const Value& object, std::string_view name,
                           const Arguments& arguments, Budget* budget) {
  if (const Undefined* undefined = object.undefined()) {
    return InvalidArgument("'{}' is undefined, so it has no '{}()'",
                           undefined->name, name);
  }
  if (object.text()) return CallTextMethod(object, name, arguments, budget);
  if (object.dict()) return CallDictMethod(object, name, arguments, budget);
  if (object.loop() && name == "cycle") return Cycle(*object.loop(), arguments);
  return InvalidArgument("method '{}' of a value of type {} is not supported",
                         name, object.TypeName());
}

}  // namespace tandem::jinja
