#include "model/json_fields.h"

#include <algorithm>

namespace tandem {

using Json = nlohmann::json;

namespace {

constexpr int kMostLevels = 100;

// The most brackets that are open at once in JSON.
int LevelsOf(std::string_view text) {
  int open = 0, most = 0;
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      in_string = !in_string;
    } else if (in_string) {
      at += c == '\\';
    } else if (c == '[' || c == '{') {
      most = std::max(most, ++open);
    } else if (c == ']' || c == '}') {
      --open;
    }
  }
  return most;
}

}  // namespace

Status CheckNesting(std::string_view text) {
  const int levels = LevelsOf(text);
  if (levels <= kMostLevels) return OkStatus();
  return InvalidArgument(
      "the JSON is nested {} levels deep, at most {} are allowed", levels,
      kMostLevels);
}

StatusOr<Json> ParseJsonObject(std::string_view text) {
  TANDEM_RETURN_IF_ERROR(CheckNesting(text));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return InvalidArgument("not valid JSON");
  if (!json.is_object()) return InvalidArgument("not a JSON object");
  return json;
}

std::string Shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

bool HasField(const Json& object, const std::string& name) {
  const auto found = object.find(name);
  return found != object.end() && !found->is_null();
}

StatusOr<int64_t> IntegerField(const Json& object, const std::string& name,
                               int64_t minimum, int64_t maximum) {
  if (!HasField(object, name)) {
    return InvalidArgument("field '{}' is missing", name);
  }
  const Json& value = object[name];
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (!fits || value.get<int64_t>() < minimum ||
      value.get<int64_t>() > maximum) {
    return InvalidArgument(
        "field '{}' is {}, expected an integer from {} to {}", name,
        Shown(value), minimum, maximum);
  }
  return value.get<int64_t>();
}

StatusOr<int64_t> IntegerField(const Json& object, const std::string& name,
                               int64_t minimum, int64_t maximum,
                               int64_t otherwise) {
  if (!HasField(object, name)) return otherwise;
  return IntegerField(object, name, minimum, maximum);
}

StatusOr<double> NumberField(const Json& object, const std::string& name,
                             double otherwise) {
  if (!HasField(object, name)) return otherwise;
  if (!object[name].is_number()) {
    return InvalidArgument("field '{}' is {}, expected a number", name,
                           Shown(object[name]));
  }
  return object[name].get<double>();
}

StatusOr<bool> BoolField(const Json& object, const std::string& name,
                         bool otherwise) {
  if (!HasField(object, name)) return otherwise;
  if (!object[name].is_boolean()) {
    return InvalidArgument("field '{}' is {}, expected true or false", name,
                           Shown(object[name]));
  }
  return object[name].get<bool>();
}

StatusOr<std::string> TextField(const Json& object, const std::string& name,
                                const std::string& otherwise) {
  if (!HasField(object, name)) return otherwise;
  if (!object[name].is_string()) {
    return InvalidArgument("field '{}' is {}, expected a string", name,
                           Shown(object[name]));
  }
  return object[name].get<std::string>();
}

StatusOr<std::string> FormatJson(const Json& json, int indent) {
  try {
    return json.dump(indent) + "\n";
  } catch (const Json::type_error& error) {
    return InvalidArgument("a string is not valid UTF-8: {}", error.what());
  }
}

}  // namespace tandem
