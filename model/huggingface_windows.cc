// The fields of a config.json that say which layers see a sliding window.
#include <algorithm>

#include "model/architecture.h"
#include "model/huggingface_config.h"
#include "model/json_fields.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

StatusOr<std::vector<bool>> LayerTypes(const Json& types) {
  if (!types.is_array()) {
    return InvalidArgument("field 'layer_types' is {}, expected a list",
                           Shown(types));
  }
  std::vector<bool> windowed;
  for (const Json& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      return InvalidArgument(
          "field 'layer_types' holds {}, expected \"full_attention\" or "
          "\"sliding_attention\"",
          Shown(type));
    }
    windowed.push_back(type == "sliding_attention");
  }
  return windowed;
}

// By layer; empty where no layer has a window.
StatusOr<std::vector<bool>> WindowedLayers(const Json& json,
                                           const DecoderConfig& c,
                                           int64_t default_period) {
  std::vector<bool> windowed;
  if (HasField(json, "layer_types")) {
    TANDEM_ASSIGN_OR_RETURN(windowed, LayerTypes(json["layer_types"]));
  } else if (default_period > 0) {
    TANDEM_ASSIGN_OR_RETURN(const int64_t period,
                            IntegerField(json, "sliding_window_pattern", 1,
                                         1 << 20, default_period));
    windowed = PeriodicWindows(c.layers, period);
  }
  const bool any =
      std::find(windowed.begin(), windowed.end(), true) != windowed.end();
  return any ? windowed : std::vector<bool>();
}

}  // namespace

Status ReadWindowFields(const Json& json, DecoderConfig& c) {
  const Architecture& architecture = ArchitectureNamed(c.architecture);
  TANDEM_ASSIGN_OR_RETURN(c.windowed_layers,
                          WindowedLayers(json, c, architecture.window_period));
  if (architecture.window_period == 0) {
    // Qwen's switch: with it off, sliding_window is there and means nothing.
    TANDEM_ASSIGN_OR_RETURN(const bool used,
                            BoolField(json, "use_sliding_window", false));
    if (!used && c.windowed_layers.empty()) return OkStatus();
    return InvalidArgument(
        "field '{}' asks for a sliding window, which Tandem does not support "
        "in a {}",
        used ? "use_sliding_window" : "layer_types", c.architecture);
  }
  if (c.windowed_layers.empty()) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(
      c.sliding_window,
      IntegerField(json, "sliding_window", 1, int64_t{1} << 31,
                   architecture.defaults.sliding_window));
  return OkStatus();
}

void AddWindowFields(const DecoderConfig& c, Json& json) {
  if (ArchitectureNamed(c.architecture).window_period == 0) return;
  json["layer_types"] = Json::array();
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    json["layer_types"].push_back(c.IsWindowed(layer) ? "sliding_attention"
                                                      : "full_attention");
  }
  if (c.sliding_window > 0) json["sliding_window"] = c.sliding_window;
}

}  // namespace tandem
