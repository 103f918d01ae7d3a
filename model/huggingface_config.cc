#include "model/huggingface_folder.h"
#include "model/json_fields.h"
#include "model/llama_layout.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

constexpr int64_t kAnyInteger = int64_t{1} << 40;
constexpr auto kTransformersVersion = "4.57.6";  // whose fields these are

Status CheckPlainRope(const Json& config, const char* name) {
  if (!HasField(config, name)) return OkStatus();
  if (!config[name].is_object()) {
    return InvalidArgument("field '{}' is {}, expected an object", name,
                           Shown(config[name]));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string old_name,
                          TextField(config[name], "type", "default"));
  TANDEM_ASSIGN_OR_RETURN(const std::string type,
                          TextField(config[name], "rope_type", old_name));
  if (type == "default") return OkStatus();
  return InvalidArgument(
      "field '{}' has the type '{}', only 'default' is "
      "supported",
      name, type);
}

Status CheckNoUnsupportedFeatures(const Json& config) {
  for (const char* name : {"attention_bias", "mlp_bias"}) {
    TANDEM_ASSIGN_OR_RETURN(const bool value, BoolField(config, name, false));
    if (value)
      return InvalidArgument("field '{}' is true, expected false", name);
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string activation,
                          TextField(config, "hidden_act", "silu"));
  if (activation != "silu") {
    return InvalidArgument("field 'hidden_act' is '{}', expected 'silu'",
                           activation);
  }
  TANDEM_RETURN_IF_ERROR(CheckPlainRope(config, "rope_scaling"));
  return CheckPlainRope(config, "rope_parameters");
}

// transformers 5 moved rope_theta into rope_parameters.
StatusOr<double> RopeTheta(const Json& config) {
  if (HasField(config, "rope_parameters")) {
    return NumberField(config["rope_parameters"], "rope_theta", 10000);
  }
  return NumberField(config, "rope_theta", 10000);
}

std::string_view DtypeName(at::ScalarType dtype) {
  if (dtype == at::kHalf) return "float16";
  return dtype == at::kBFloat16 ? "bfloat16" : "float32";
}

void AddTokenIds(const TokenizerData& tokenizer, Json& json) {
  const auto add = [&](const char* name, const std::optional<int32_t>& id) {
    if (id) json[name] = *id;
  };
  add("bos_token_id", tokenizer.bos_id);
  add("eos_token_id", tokenizer.eos_id);
  add("pad_token_id", tokenizer.padding_id);
}

}  // namespace

StatusOr<DecoderConfig> ParseHuggingFaceConfig(std::string_view text) {
  TANDEM_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text));
  DecoderConfig c;
  TANDEM_ASSIGN_OR_RETURN(c.architecture, TextField(json, "model_type", ""));
  TANDEM_RETURN_IF_ERROR(CheckArchitecture(c.architecture));
  TANDEM_RETURN_IF_ERROR(CheckNoUnsupportedFeatures(json));
  const auto size = [&](const char* name) {
    return IntegerField(json, name, 1, kAnyInteger);
  };
  TANDEM_ASSIGN_OR_RETURN(c.hidden_size, size("hidden_size"));
  TANDEM_ASSIGN_OR_RETURN(c.intermediate_size, size("intermediate_size"));
  TANDEM_ASSIGN_OR_RETURN(c.layers, size("num_hidden_layers"));
  TANDEM_ASSIGN_OR_RETURN(c.attention_heads, size("num_attention_heads"));
  TANDEM_ASSIGN_OR_RETURN(c.vocabulary_size, size("vocab_size"));
  TANDEM_ASSIGN_OR_RETURN(c.context_length, size("max_position_embeddings"));
  TANDEM_ASSIGN_OR_RETURN(c.key_value_heads,
                          IntegerField(json, "num_key_value_heads", 1,
                                       kAnyInteger, c.attention_heads));
  TANDEM_ASSIGN_OR_RETURN(c.head_size,
                          IntegerField(json, "head_dim", 1, kAnyInteger,
                                       c.hidden_size / c.attention_heads));
  TANDEM_ASSIGN_OR_RETURN(c.rms_norm_epsilon,
                          NumberField(json, "rms_norm_eps", 1e-6));
  TANDEM_ASSIGN_OR_RETURN(c.rope_theta, RopeTheta(json));
  TANDEM_ASSIGN_OR_RETURN(c.tied_embeddings,
                          BoolField(json, "tie_word_embeddings", false));
  TANDEM_RETURN_IF_ERROR(CheckDecoderConfig(c));
  return c;
}

StatusOr<std::string> FormatHuggingFaceConfig(const Checkpoint& checkpoint,
                                              at::ScalarType dtype) {
  const DecoderConfig& c = checkpoint.config;
  TANDEM_RETURN_IF_ERROR(CheckDecoderConfig(c));
  Json json = {{"architectures", {"LlamaForCausalLM"}},
               {"model_type", c.architecture},
               {"hidden_act", "silu"},
               {"hidden_size", c.hidden_size},
               {"intermediate_size", c.intermediate_size},
               {"num_hidden_layers", c.layers},
               {"num_attention_heads", c.attention_heads},
               {"num_key_value_heads", c.key_value_heads},
               {"head_dim", c.head_size},
               {"vocab_size", c.vocabulary_size},
               {"max_position_embeddings", c.context_length},
               {"rms_norm_eps", c.rms_norm_epsilon},
               {"rope_theta", c.rope_theta},
               {"rope_scaling", nullptr},
               {"tie_word_embeddings", c.tied_embeddings},
               {"attention_bias", false},
               {"attention_dropout", 0.0},
               {"mlp_bias", false},
               {"initializer_range", 0.02},
               {"use_cache", true},
               {"torch_dtype", DtypeName(dtype)},
               {"transformers_version", kTransformersVersion}};
  AddTokenIds(checkpoint.tokenizer, json);
  return FormatJson(json, 2);
}

StatusOr<std::string> FormatGenerationConfig(const TokenizerData& tokenizer) {
  Json json = {{"transformers_version", kTransformersVersion}};
  AddTokenIds(tokenizer, json);
  return FormatJson(json, 2);
}

}  // namespace tandem
