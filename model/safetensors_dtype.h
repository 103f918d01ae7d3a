// The names that safetensors gives to element types, and LibTorch's types for
// them.
#ifndef TANDEM_MODEL_SAFETENSORS_DTYPE_H_
#define TANDEM_MODEL_SAFETENSORS_DTYPE_H_

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <string_view>

namespace tandem {

// Nothing for a name that is not in the table.
std::optional<at::ScalarType> ScalarTypeOfSafetensors(std::string_view name);

// Empty for a type that safetensors files of ours do not hold.
std::string_view SafetensorsNameOf(at::ScalarType type);

// "F64, F32, ..." for messages.
std::string KnownSafetensorsDtypes();

}  // namespace tandem

#endif  // TANDEM_MODEL_SAFETENSORS_DTYPE_H_
