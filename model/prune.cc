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

// What does not belong to a layer stays; kept layers go by their new numbers.
template <typename Value>
std::map<std::string, Value> Renumbered(
    const std::map<std::string, Value>& named,
    const std::map<int64_t, int64_t>& numbers) {
  std::map<std::string, Value> renumbered;
  for (const auto& [name, value] : named) {
    if (!name.starts_with(kPrefix)) {
      renumbered[name] = value;
      continue;
    }
    const size_t end = name.find('.', kPrefix.size());
    const auto kept = numbers.find(std::stoll(name.substr(kPrefix.size())));
    if (kept == numbers.end()) continue;
    renumbered[fmt::format("{}{}{}", kPrefix, kept->second, name.substr(end))] =
        value;
  }
  return renumbered;
}

}  // namespace

StatusOr<Checkpoint> KeepLayers(const Checkpoint& checkpoint, int64_t keep) {
  const int64_t layers = checkpoint.config.layers;
  if (keep < 2 || keep > layers) {
    return InvalidArgument("cannot keep {} layers, expected 2 to {}", keep,
                           layers);
  }
  const std::map<int64_t, int64_t> numbers = NewNumbers(layers, keep);
  Checkpoint pruned = {
      checkpoint.config, Renumbered(checkpoint.tensors, numbers),
      checkpoint.tokenizer, Renumbered(checkpoint.blocks, numbers)};
  pruned.config.layers = keep;
  if (!pruned.config.windowed_layers.empty()) {
    pruned.config.windowed_layers.resize(keep);
    for (const auto& [from, to] : numbers) {
      pruned.config.windowed_layers[to] = checkpoint.config.IsWindowed(from);
    }
  }
  return pruned;
}

}  // namespace tandem
