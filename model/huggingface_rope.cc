// The fields of a config.json that say how positions turn.
#include "model/architecture.h"
#include "model/huggingface_config.h"
#include "model/json_fields.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

// The object of that name, {} where it is absent.
StatusOr<Json> RopeObject(const Json& json, const char* name) {
  if (!HasField(json, name)) return Json::object();
  if (json[name].is_object()) return json[name];
  return InvalidArgument("field '{}' is {}, expected an object", name,
                         Shown(json[name]));
}

// The type of the scaling, which older files call "type".
StatusOr<std::string> ScalingType(const Json& rope) {
  TANDEM_ASSIGN_OR_RETURN(const std::string old_name,
                          TextField(rope, "type", "default"));
  return TextField(rope, "rope_type", old_name);
}

StatusOr<RopeScaling> Llama3Fields(const Json& rope) {
  RopeScaling s{.type = RopeScaling::Type::kLlama3};
  for (const auto& [name, value] :
       {std::pair("factor", &s.factor),
        std::pair("low_freq_factor", &s.low_frequency_factor),
        std::pair("high_freq_factor", &s.high_frequency_factor)}) {
    if (!HasField(rope, name)) {
      return InvalidArgument("field '{}' of a llama3 rope scaling is missing",
                             name);
    }
    TANDEM_ASSIGN_OR_RETURN(*value, NumberField(rope, name, 0));
  }
  TANDEM_ASSIGN_OR_RETURN(s.original_context_length,
                          IntegerField(rope, "original_max_position_embeddings",
                                       1, int64_t{1} << 31));
  return s;
}

StatusOr<RopeScaling> ScalingOf(const Json& rope, const char* name) {
  TANDEM_ASSIGN_OR_RETURN(const std::string type, ScalingType(rope));
  if (type == "default") return RopeScaling();
  if (type == "llama3") return Llama3Fields(rope);
  if (type != "linear") {
    return InvalidArgument(
        "field '{}' has the type '{}', only 'default', 'linear' and 'llama3' "
        "are supported",
        name, type);
  }
  RopeScaling s{.type = RopeScaling::Type::kLinear};
  TANDEM_ASSIGN_OR_RETURN(s.factor, NumberField(rope, "factor", 0));
  return s;
}

Status ReadRopeParameters(const Json& json, DecoderConfig& c) {
  TANDEM_ASSIGN_OR_RETURN(Json rope, RopeObject(json, "rope_parameters"));
  // Where layers differ there is an object for each type of layer.
  TANDEM_ASSIGN_OR_RETURN(const Json local,
                          RopeObject(rope, "sliding_attention"));
  TANDEM_ASSIGN_OR_RETURN(c.local_rope_theta,
                          NumberField(local, "rope_theta", c.local_rope_theta));
  if (HasField(rope, "full_attention")) {
    TANDEM_ASSIGN_OR_RETURN(rope, RopeObject(rope, "full_attention"));
  }
  TANDEM_ASSIGN_OR_RETURN(c.rope_theta,
                          NumberField(rope, "rope_theta", c.rope_theta));
  TANDEM_ASSIGN_OR_RETURN(c.rope_scaling, ScalingOf(rope, "rope_parameters"));
  return OkStatus();
}

}  // namespace

Status ReadRopeFields(const Json& json, DecoderConfig& c) {
  c.rope_theta = ArchitectureNamed(c.architecture).defaults.rope_theta;
  TANDEM_ASSIGN_OR_RETURN(c.rope_theta,
                          NumberField(json, "rope_theta", c.rope_theta));
  TANDEM_ASSIGN_OR_RETURN(
      c.local_rope_theta,
      NumberField(json, "rope_local_base_freq", c.local_rope_theta));
  if (HasField(json, "rope_parameters")) return ReadRopeParameters(json, c);
  TANDEM_ASSIGN_OR_RETURN(const Json rope, RopeObject(json, "rope_scaling"));
  TANDEM_ASSIGN_OR_RETURN(c.rope_scaling, ScalingOf(rope, "rope_scaling"));
  return OkStatus();
}

void AddRopeFields(const DecoderConfig& c, Json& json) {
  const RopeScaling& s = c.rope_scaling;
  json["rope_theta"] = c.rope_theta;
  json["rope_scaling"] = nullptr;
  if (s.type == RopeScaling::Type::kLinear) {
    json["rope_scaling"] = {{"rope_type", "linear"}, {"factor", s.factor}};
  } else if (s.type == RopeScaling::Type::kLlama3) {
    json["rope_scaling"] = {
        {"rope_type", "llama3"},
        {"factor", s.factor},
        {"low_freq_factor", s.low_frequency_factor},
        {"high_freq_factor", s.high_frequency_factor},
        {"original_max_position_embeddings", s.original_context_length}};
  }
  if (ArchitectureNamed(c.architecture).window_period > 0) {
    json["rope_local_base_freq"] = c.local_rope_theta;
  }
}

}  // namespace tandem
