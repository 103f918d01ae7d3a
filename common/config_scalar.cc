#include "common/config_scalar.h"

#include <google/protobuf/descriptor.pb.h>
#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "common/nearest_name.h"

namespace tandem {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// The option tandem.proto.NAME where it is set on the field, else null. The
// pool that made the options message knows the extension wherever the
// configuration's generated code is linked.
const FieldDescriptor* FindOption(const FieldDescriptor& field,
                                  const std::string& name) {
  const auto& options = field.options();
  const Reflection* reflection = options.GetReflection();
  const FieldDescriptor* option =
      reflection->FindKnownExtensionByName("tandem.proto." + name);
  return option && reflection->HasField(options, option) ? option : nullptr;
}

std::optional<double> NumberOption(const FieldDescriptor& field,
                                   const std::string& name) {
  const FieldDescriptor* option = FindOption(field, name);
  if (option == nullptr) return std::nullopt;
  return field.options().GetReflection()->GetDouble(field.options(), option);
}

std::vector<std::string> Choices(const FieldDescriptor& field) {
  std::vector<std::string> choices;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      choices.push_back(field.enum_type()->value(i)->name());
    }
    return choices;
  }
  const FieldDescriptor* option = FindOption(field, "one_of");
  if (option == nullptr) return choices;
  std::string rest =
      field.options().GetReflection()->GetString(field.options(), option);
  for (size_t bar; (bar = rest.find('|')) != std::string::npos;) {
    choices.push_back(rest.substr(0, bar));
    rest.erase(0, bar + 1);
  }
  choices.push_back(rest);
  return choices;
}

// long double holds every int64, uint64 and double exactly.
template <typename Number>
bool InRange(Number value, const FieldDescriptor& field) {
  const long double exact = value;
  const auto min = NumberOption(field, "min");
  const auto max = NumberOption(field, "max");
  return (!min || exact >= *min) && (!max || exact <= *max);
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') {
    text.remove_prefix(1);
  }
  Number value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  if constexpr (std::is_floating_point_v<Number>) {
    if (!std::isfinite(value)) return std::nullopt;
  }
  return value;
}

template <typename Value>
using Setter = void (Reflection::*)(Message*, const FieldDescriptor*,
                                    Value) const;

template <typename Value, typename Argument>
bool Put(Value value, const FieldDescriptor& field, Message* message,
         Setter<Argument> set, Setter<Argument> add) {
  const Reflection* reflection = message->GetReflection();
  (reflection->*(field.is_repeated() ? add : set))(message, &field,
                                                   std::move(value));
  return true;
}

template <typename Number>
bool PutNumber(const ConfigScalar& value, const FieldDescriptor& field,
               Message* message, Setter<Number> set, Setter<Number> add) {
  if (value.quoted) return false;
  const std::optional<Number> number = ParseNumber<Number>(value.text);
  if (!number || !InRange(*number, field)) return false;
  return Put(*number, field, message, set, add);
}

bool PutBool(const ConfigScalar& value, const FieldDescriptor& field,
             Message* message) {
  if (value.quoted || (value.text != "true" && value.text != "false")) {
    return false;
  }
  return Put(value.text == "true", field, message, &Reflection::SetBool,
             &Reflection::AddBool);
}

bool PutString(const ConfigScalar& value, const FieldDescriptor& field,
               Message* message) {
  const std::vector<std::string> choices = Choices(field);
  bool known = choices.empty();
  for (const std::string& choice : choices) known |= choice == value.text;
  return known && Put(value.text, field, message, &Reflection::SetString,
                      &Reflection::AddString);
}

bool PutEnum(const ConfigScalar& value, const FieldDescriptor& field,
             Message* message) {
  const auto* known = field.enum_type()->FindValueByName(value.text);
  return known != nullptr &&
         Put(known, field, message, &Reflection::SetEnum, &Reflection::AddEnum);
}

// Where an option is missing, the type's own limit stands in for it.
template <typename Integer>
std::string ExpectedInteger(const FieldDescriptor& field) {
  Integer low = std::numeric_limits<Integer>::min();
  Integer high = std::numeric_limits<Integer>::max();
  if (const auto min = NumberOption(field, "min");
      min && *min > static_cast<long double>(low)) {
    low = static_cast<Integer>(std::ceil(*min));
  }
  if (const auto max = NumberOption(field, "max");
      max && *max < static_cast<long double>(high)) {
    high = static_cast<Integer>(std::floor(*max));
  }
  return fmt::format("an integer between {} and {}", low, high);
}

std::string ExpectedNumber(const FieldDescriptor& field) {
  const auto min = NumberOption(field, "min");
  const auto max = NumberOption(field, "max");
  if (min && max) return fmt::format("a number between {} and {}", *min, *max);
  if (min) return fmt::format("a number of at least {}", *min);
  if (max) return fmt::format("a number of at most {}", *max);
  return "a number";
}

}  // namespace

std::string ExpectedScalar(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return ExpectedInteger<int32_t>(field);
    case FieldDescriptor::CPPTYPE_INT64:
      return ExpectedInteger<int64_t>(field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return ExpectedInteger<uint32_t>(field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return ExpectedInteger<uint64_t>(field);
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ExpectedNumber(field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    default:
      break;
  }
  std::string choices;
  for (const std::string& choice : Choices(field)) {
    choices += (choices.empty() ? "one of: " : ", ") + choice;
  }
  return choices.empty() ? "text" : choices;
}

bool StoreScalar(const ConfigScalar& value, const FieldDescriptor& field,
                 Message* message) {
  using R = Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return PutNumber(value, field, message, &R::SetInt32, &R::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return PutNumber(value, field, message, &R::SetInt64, &R::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return PutNumber(value, field, message, &R::SetUInt32, &R::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return PutNumber(value, field, message, &R::SetUInt64, &R::AddUInt64);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return PutNumber(value, field, message, &R::SetFloat, &R::AddFloat);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return PutNumber(value, field, message, &R::SetDouble, &R::AddDouble);
    case FieldDescriptor::CPPTYPE_BOOL:
      return PutBool(value, field, message);
    case FieldDescriptor::CPPTYPE_ENUM:
      return PutEnum(value, field, message);
    case FieldDescriptor::CPPTYPE_STRING:
      return PutString(value, field, message);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return false;
}

std::string NearestChoice(const std::string& text,
                          const FieldDescriptor& field) {
  const std::string meant = DidYouMean(text, Choices(field));
  return meant.find("did you mean") == std::string::npos ? "" : meant;
}

bool IsRequired(const FieldDescriptor& field) {
  const FieldDescriptor* option = FindOption(field, "required");
  return option != nullptr &&
         field.options().GetReflection()->GetBool(field.options(), option);
}

}  // namespace tandem
