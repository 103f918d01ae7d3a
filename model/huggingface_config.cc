#include "model/huggingface_config.h"

#include "model/architecture.h"
#include "model/huggingface_folder.h"
#include "model/json_fields.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

constexpr int64_t kAnyInteger = int64_t{1} << 40;
constexpr auto kTransformersVersion = "4.57.6";  // whose fields these are

// Fields that change what a model computes, and that Tandem does not compute.
// Absent, null, false, 0 and empty mean that they are not in use.
constexpr const char* kUnsupportedFields[] = {"mlp_bias",
                                              "attn_logit_softcapping",
                                              "final_logit_softcapping",
                                              "use_bidirectional_attention",
                                              "num_experts",
                                              "num_local_experts",
                                              "quantization_config"};

bool IsUnusedField(const Json& value) {
  return value.is_null() || value == false ||
         (value.is_number() && value == 0) ||
         (value.is_structured() && value.empty());
}

Status CheckNoUnsupportedFields(const Json& config) {
  for (const char* name : kUnsupportedFields) {
    if (!HasField(config, name) || IsUnusedField(config[name])) continue;
    return InvalidArgument("field '{}' is {}, which Tandem does not support",
                           name, Shown(config[name]));
  }
  TANDEM_ASSIGN_OR_RETURN(const double rotated,
                          NumberField(config, "partial_rotary_factor", 1));
  if (rotated == 1) return OkStatus();
  return InvalidArgument("field 'partial_rotary_factor' is {}, expected 1",
                         rotated);
}

Status CheckActivation(const Json& config, const Architecture& architecture) {
  const std::string field(architecture.activation_field);
  const std::string expected(architecture.activation_name);
  TANDEM_ASSIGN_OR_RETURN(const std::string activation,
                          TextField(config, field, expected));
  if (activation == expected) return OkStatus();
  return InvalidArgument("field '{}' is '{}', expected '{}'", field, activation,
                         expected);
}

// Qwen2 has no such field: a value there means nothing.
Status ReadAttentionBias(const Json& config, const Architecture& architecture,
                         DecoderConfig& c) {
  if (architecture.bias == AttentionBias::kQueryKeyValue) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(c.attention_bias,
                          BoolField(config, "attention_bias", false));
  if (!c.attention_bias || architecture.bias == AttentionBias::kByConfig) {
    return OkStatus();
  }
  return InvalidArgument("field 'attention_bias' is true, expected false");
}

Status ReadSizeFields(const Json& json, const ConfigDefaults& defaults,
                      DecoderConfig& c) {
  const auto size = [&](const char* name) {
    return IntegerField(json, name, 1, kAnyInteger);
  };
  TANDEM_ASSIGN_OR_RETURN(c.hidden_size, size("hidden_size"));
  TANDEM_ASSIGN_OR_RETURN(c.intermediate_size, size("intermediate_size"));
  TANDEM_ASSIGN_OR_RETURN(
      c.layers, IntegerField(json, "num_hidden_layers", 1, kMostLayers));
  TANDEM_ASSIGN_OR_RETURN(c.attention_heads, size("num_attention_heads"));
  TANDEM_ASSIGN_OR_RETURN(c.vocabulary_size, size("vocab_size"));
  TANDEM_ASSIGN_OR_RETURN(c.context_length,
                          IntegerField(json, "max_position_embeddings", 1,
                                       kAnyInteger, defaults.context_length));
  TANDEM_ASSIGN_OR_RETURN(c.key_value_heads,
                          IntegerField(json, "num_key_value_heads", 1,
                                       kAnyInteger, c.attention_heads));
  TANDEM_ASSIGN_OR_RETURN(
      c.head_size,
      IntegerField(json, "head_dim", 1, kAnyInteger,
                   defaults.head_size > 0 ? defaults.head_size
                                          : c.hidden_size / c.attention_heads));
  return OkStatus();
}

StatusOr<double> QueryScalar(const Json& json, const Architecture& a) {
  if (a.defaults.query_scalar == 0) return 0;
  return NumberField(json, "query_pre_attn_scalar", a.defaults.query_scalar);
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
  TANDEM_ASSIGN_OR_RETURN(const std::string type,
                          TextField(json, "model_type", ""));
  TANDEM_ASSIGN_OR_RETURN(const Architecture* architecture,
                          FindModelType(type));
  TANDEM_RETURN_IF_ERROR(CheckNoUnsupportedFields(json));
  TANDEM_RETURN_IF_ERROR(CheckActivation(json, *architecture));
  DecoderConfig c;
  c.architecture = architecture->name;
  TANDEM_RETURN_IF_ERROR(ReadSizeFields(json, architecture->defaults, c));
  TANDEM_RETURN_IF_ERROR(ReadAttentionBias(json, *architecture, c));
  TANDEM_ASSIGN_OR_RETURN(c.rms_norm_epsilon,
                          NumberField(json, "rms_norm_eps", 1e-6));
  TANDEM_ASSIGN_OR_RETURN(c.query_scalar, QueryScalar(json, *architecture));
  TANDEM_ASSIGN_OR_RETURN(c.tied_embeddings,
                          BoolField(json, "tie_word_embeddings",
                                    architecture->defaults.tied_embeddings));
  TANDEM_RETURN_IF_ERROR(ReadRopeFields(json, c));
  TANDEM_RETURN_IF_ERROR(ReadWindowFields(json, c));
  TANDEM_RETURN_IF_ERROR(CheckDecoderConfig(c));
  return c;
}

StatusOr<std::string> FormatHuggingFaceConfig(const Checkpoint& checkpoint,
                                              at::ScalarType dtype) {
  const DecoderConfig& c = checkpoint.config;
  TANDEM_RETURN_IF_ERROR(CheckDecoderConfig(c));
  const Architecture& a = ArchitectureNamed(c.architecture);
  Json json = {{"architectures", {a.class_name}},
               {"model_type", a.model_type},
               {a.activation_field, a.activation_name},
               {"hidden_size", c.hidden_size},
               {"intermediate_size", c.intermediate_size},
               {"num_hidden_layers", c.layers},
               {"num_attention_heads", c.attention_heads},
               {"num_key_value_heads", c.key_value_heads},
               {"head_dim", c.head_size},
               {"vocab_size", c.vocabulary_size},
               {"max_position_embeddings", c.context_length},
               {"rms_norm_eps", c.rms_norm_epsilon},
               {"tie_word_embeddings", c.tied_embeddings},
               {"attention_bias", c.attention_bias},
               {"attention_dropout", 0.0},
               {"initializer_range", 0.02},
               {"use_cache", true},
               {"torch_dtype", DtypeName(dtype)},
               {"transformers_version", kTransformersVersion}};
  if (a.defaults.query_scalar > 0) {
    json["query_pre_attn_scalar"] =
        c.query_scalar > 0 ? c.query_scalar : static_cast<double>(c.head_size);
  }
  AddRopeFields(c, json);
  AddWindowFields(c, json);
  AddTokenIds(checkpoint.tokenizer, json);
  return FormatJson(json, 2);
}

StatusOr<std::string> FormatGenerationConfig(const TokenizerData& tokenizer) {
  Json json = {{"transformers_version", kTransformersVersion}};
  AddTokenIds(tokenizer, json);
  return FormatJson(json, 2);
}

}  // namespace tandem
