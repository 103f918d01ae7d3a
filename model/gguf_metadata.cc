// Typed access to a GGUF's metadata.
#include "model/gguf_reader.h"

namespace tandem {
namespace {

StatusOr<const GgufValue*> Find(const GgufFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) {
    return InvalidArgument("key '{}' is missing", key);
  }
  return &found->second;
}

template <typename T>
StatusOr<T> Get(const GgufFile& file, const std::string& key,
                std::string_view expected) {
  TANDEM_ASSIGN_OR_RETURN(const GgufValue* value, Find(file, key));
  const T* typed = std::get_if<T>(value);
  if (typed == nullptr) {
    return InvalidArgument("key '{}' is not {}", key, expected);
  }
  return *typed;
}

}  // namespace

StatusOr<int64_t> GgufFile::Integer(const std::string& key, int64_t minimum,
                                    int64_t maximum) const {
  TANDEM_ASSIGN_OR_RETURN(const GgufValue* value, Find(*this, key));
  const auto* positive = std::get_if<uint64_t>(value);
  const auto* any = std::get_if<int64_t>(value);
  if (positive == nullptr && any == nullptr) {
    return InvalidArgument("key '{}' is not an integer", key);
  }
  const bool fits = positive == nullptr || *positive <= INT64_MAX;
  const int64_t number = any ? *any : static_cast<int64_t>(*positive);
  if (!fits || number < minimum || number > maximum) {
    return InvalidArgument(
        "key '{}' is {}, expected {} to {}", key,
        fits ? std::to_string(number) : std::to_string(*positive), minimum,
        maximum);
  }
  return number;
}

StatusOr<double> GgufFile::Number(const std::string& key) const {
  return Get<double>(*this, key, "a floating-point number");
}

StatusOr<std::string> GgufFile::Text(const std::string& key) const {
  return Get<std::string>(*this, key, "a string");
}

StatusOr<std::vector<std::string>> GgufFile::Texts(
    const std::string& key) const {
  return Get<std::vector<std::string>>(*this, key, "an array of strings");
}

StatusOr<std::vector<int64_t>> GgufFile::Integers(
    const std::string& key) const {
  return Get<std::vector<int64_t>>(*this, key, "an array of integers");
}

StatusOr<std::vector<double>> GgufFile::Numbers(const std::string& key) const {
  return Get<std::vector<double>>(*this, key,
                                  "an array of floating-point numbers");
}

StatusOr<bool> GgufFile::Flag(const std::string& key, bool otherwise) const {
  if (!Has(key)) return otherwise;
  return Get<bool>(*this, key, "a bool");
}

}  // namespace tandem
