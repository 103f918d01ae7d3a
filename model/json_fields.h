// JSON files of the Hugging Face family, read field by field with errors that
// name the field.
#ifndef TANDEM_MODEL_JSON_FIELDS_H_
#define TANDEM_MODEL_JSON_FIELDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tandem {

// InvalidArgument where JSON is nested more than 100 levels deep, far deeper
// than files of the family are: nlohmann::json copies a value level by level on
// the stack.
Status CheckNesting(std::string_view text);

// InvalidArgument: errors of CheckNesting, not JSON, or not an object.
StatusOr<nlohmann::json> ParseJsonObject(std::string_view text);

// A field that is absent or null gives `otherwise`. InvalidArgument, naming the
// field and its value: another type, or out of [minimum, maximum].
StatusOr<int64_t> IntegerField(const nlohmann::json& object,
                               const std::string& name, int64_t minimum,
                               int64_t maximum, int64_t otherwise);
// The same for a field that must be there.
StatusOr<int64_t> IntegerField(const nlohmann::json& object,
                               const std::string& name, int64_t minimum,
                               int64_t maximum);
StatusOr<double> NumberField(const nlohmann::json& object,
                             const std::string& name, double otherwise);
StatusOr<bool> BoolField(const nlohmann::json& object, const std::string& name,
                         bool otherwise);
StatusOr<std::string> TextField(const nlohmann::json& object,
                                const std::string& name,
                                const std::string& otherwise);

// The value for a message, cut to 60 characters.
std::string Shown(const nlohmann::json& value);

// Present and not null.
bool HasField(const nlohmann::json& object, const std::string& name);

// InvalidArgument where a string in it is not UTF-8. `indent` as in
// nlohmann::json::dump.
StatusOr<std::string> FormatJson(const nlohmann::json& json, int indent);

}  // namespace tandem

#endif  // TANDEM_MODEL_JSON_FIELDS_H_
