#include "model/architecture.h"

#include <spdlog/fmt/ranges.h>

namespace tandem {
namespace {

const std::vector<Architecture>& Architectures() {
  static const std::vector<Architecture> table = {
      LlamaArchitecture(), Qwen2Architecture(), Qwen3Architecture(),
      Gemma3Architecture()};
  return table;
}

StatusOr<const Architecture*> FindBy(std::string_view Architecture::* field,
                                     std::string_view value) {
  std::vector<std::string_view> known;
  known.reserve(Architectures().size());
  for (const Architecture& architecture : Architectures()) {
    if (architecture.*field == value) return &architecture;
    known.push_back(architecture.*field);
  }
  return InvalidArgument(
      "architecture '{}' is not supported, expected one of {}", value,
      fmt::join(known, ", "));
}

}  // namespace

StatusOr<const Architecture*> FindArchitecture(std::string_view name) {
  return FindBy(&Architecture::name, name);
}

StatusOr<const Architecture*> FindModelType(std::string_view model_type) {
  return FindBy(&Architecture::model_type, model_type);
}

const Architecture& ArchitectureNamed(std::string_view name) {
  return *FindArchitecture(name).value();
}

std::vector<bool> PeriodicWindows(int64_t layers, int64_t period) {
  std::vector<bool> windowed(layers);
  for (int64_t i = 0; i < layers; ++i) windowed[i] = (i + 1) % period != 0;
  return windowed;
}

}  // namespace tandem
