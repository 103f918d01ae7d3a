// Layer removal: the student of the main job.
#include <map>

#include "model/checkpoint.h"

namespace tandem {
namespace {

constexpr std::string_view kPrefix = "model.layers.";

// i (layers - 1) / (keep - 1), rounded: evenly spaced from the first to the
// last, all different.
std::map<int64_t, int64_t> NewNumbers(int64_t layers, int64_t keep) {
  std::map<int64_t, int64_t> numbers;
  for (int64_t i = 0; i < keep; ++i) {
    numbers[(2 * i * (layers - 1) + keep - 1) / (2 * (keep - 1))] = i;
  }
  return numbers;
}

}  // namespace

StatusOr<Checkpoint> KeepLayers(const Checkpoint& checkpoint, int64_t keep) {
  const int64_t layers = checkpoint.config.layers;
  if (keep < 2 || keep > layers) {
    return InvalidArgument("cannot keep {} layers, expected 2 to {}", keep,
                           layers);
  }
  const std::map<int64_t, int64_t> numbers = NewNumbers(layers, keep);
  Checkpoint pruned = checkpoint;
  pruned.config.layers = keep;
  pruned.tensors.clear();
  if (!pruned.config.windowed_layers.empty()) {
    pruned.config.windowed_layers.resize(keep);
    for (const auto& [from, to] : numbers) {
      pruned.config.windowed_layers[to] = checkpoint.config.IsWindowed(from);
    }
  }
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (!name.starts_with(kPrefix)) {
      pruned.tensors[name] = tensor;
      continue;
    }
    const size_t end = name.find('.', kPrefix.size());
    const auto kept = numbers.find(std::stoll(name.substr(kPrefix.size())));
    if (kept == numbers.end()) continue;
    pruned.tensors[fmt::format("{}{}{}", kPrefix, kept->second,
                               name.substr(end))] = tensor;
  }
  return pruned;
}

}  // namespace tandem
