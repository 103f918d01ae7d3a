#include "model/safetensors_dtype.h"

namespace tandem {
namespace {

struct NamedType {
  std::string_view name;
  at::ScalarType type;
};

constexpr NamedType kTypes[] = {{"F64", at::kDouble}, {"F32", at::kFloat},
                                {"F16", at::kHalf},   {"BF16", at::kBFloat16},
                                {"I64", at::kLong},   {"I32", at::kInt},
                                {"I16", at::kShort},  {"I8", at::kChar},
                                {"U8", at::kByte},    {"BOOL", at::kBool}};

}  // namespace

std::optional<at::ScalarType> ScalarTypeOfSafetensors(std::string_view name) {
  for (const NamedType& known : kTypes) {
    if (known.name == name) return known.type;
  }
  return std::nullopt;
}

std::string_view SafetensorsNameOf(at::ScalarType type) {
  for (const NamedType& known : kTypes) {
    if (known.type == type) return known.name;
  }
  return {};
}

std::string KnownSafetensorsDtypes() {
  std::string names;
  for (const NamedType& known : kTypes) {
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  return names;
}

}  // namespace tandem
