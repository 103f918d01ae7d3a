// The folder in which PEFT keeps an adapter: adapter_config.json and
// adapter_model.safetensors.
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "model/adapted_linears.h"
#include "model/adapter.h"
#include "model/aten.h"
#include "model/json_fields.h"
#include "model/lora_gguf.h"
#include "model/safetensors.h"

namespace tandem {
namespace {

// Keeps the order of keys: the first pattern that matches counts.
using nlohmann::ordered_json;
using json = ordered_json;

constexpr char kConfigFile[] = "adapter_config.json";
constexpr char kTensorsFile[] = "adapter_model.safetensors";

struct PeftFeature {
  const char* name;
  const char* reason = "";
};

// Features of PEFT's LoRA that change what an adapter computes. Left out, null,
// false and empty all mean that it is not in use.
constexpr PeftFeature kUnsupportedFeatures[] = {
    {"use_qalora"},
    {"use_bdlora"},
    {"lora_bias"},
    {"modules_to_save",
     ": it stores whole layers, an adapter holds LoRA's tensors alone"},
    {"fan_in_fan_out", ": the linears of these models are stored [out, in]"},
    {"exclude_modules", ": list what remains in target_modules"},
    {"layers_to_transform", ": list the layers' modules in target_modules"},
    {"layer_replication", ": it changes the base model's layers"},
    {"target_parameters"},
    {"trainable_token_indices"},
    {"alora_invocation_tokens"},
    {"arrow_config"},
    {"kasa_config"},
    {"monteclora_config"},
    {"velora_config"}};

bool IsUnused(const json& value) {
  return value.is_null() || value == false ||
         (value.is_structured() && value.empty());
}

// bias and init_lora_weights are in use whatever they say. Initialisations
// other than these (PiSSA, OLoRA, CorDA, EVA, LoftQ) move the base's weights.
Status CheckFeatures(const json& config) {
  for (const auto& [name, reason] : kUnsupportedFeatures) {
    const json value = config.value(name, json());
    if (IsUnused(value)) continue;
    return InvalidArgument("{} is {}, which Tandem does not support{}", name,
                           Shown(value), reason);
  }
  const json bias = config.value("bias", json("none"));
  if (bias != "none") {
    return InvalidArgument("bias is {}, which Tandem does not support",
                           Shown(bias));
  }
  const json init = config.value("init_lora_weights", json(true));
  if (!init.is_boolean() && init != "gaussian") {
    return InvalidArgument(
        "init_lora_weights is {}, which Tandem does not support", Shown(init));
  }
  return OkStatus();
}

// "all-linear", or an expression for whole names.
Status ParseTargetString(const std::string& text, LoraOptions& options) {
  std::string lower = text;
  for (char& c : lower) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (lower == "all-linear") return OkStatus();  // as an empty list
  TANDEM_ASSIGN_OR_RETURN(options.target_pattern,
                          ModulePattern::WholeName(text));
  return OkStatus();
}

Status ParseTargets(const json& config, LoraOptions& options) {
  const json value = config.value("target_modules", json());
  if (value.is_string()) {
    return ParseTargetString(value.get<std::string>(), options);
  }
  if (!value.is_array() || value.empty()) {
    return InvalidArgument("target_modules is {}, expected a list of names",
                           Shown(value));
  }
  options.target_modules.reserve(value.size());
  for (const json& name : value) {
    if (!name.is_string()) {
      return InvalidArgument("target_modules holds {}, expected names",
                             Shown(name));
    }
    options.target_modules.push_back(name.get<std::string>());
  }
  return OkStatus();
}

StatusOr<int64_t> ParseInteger(const std::string& name, const json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  return InvalidArgument("{} is {}, expected an integer", name, Shown(value));
}

StatusOr<double> ParseNumber(const std::string& name, const json& value) {
  if (value.is_number()) return value.get<double>();
  return InvalidArgument("{} is {}, expected a number", name, Shown(value));
}

StatusOr<bool> ParseSwitch(const std::string& name, const json& config) {
  const json value = config.value(name, json(false));
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  return InvalidArgument("{} is {}, expected true or false", name,
                         Shown(value));
}

// {pattern: value, ...}; missing and null: none.
template <typename T, typename Parse>
StatusOr<std::vector<PatternValue<T>>> ParsePatterns(const std::string& name,
                                                     const json& config,
                                                     const Parse& parse) {
  const json object = config.value(name, json::object());
  std::vector<PatternValue<T>> patterns;
  if (object.is_null()) return patterns;
  if (!object.is_object()) {
    return InvalidArgument("{} is {}, expected values by pattern", name,
                           Shown(object));
  }
  patterns.reserve(object.size());
  for (const auto& [expression, value] : object.items()) {
    TANDEM_ASSIGN_OR_RETURN(const T number,
                            parse(name + " '" + expression + "'", value));
    TANDEM_ASSIGN_OR_RETURN(ModulePattern modules,
                            ModulePattern::EndOfName(expression));
    patterns.push_back({std::move(modules), number});
  }
  return patterns;
}

StatusOr<LoraOptions> ParseOptions(std::string_view text) {
  TANDEM_RETURN_IF_ERROR(CheckNesting(text));
  // Patterns keep their order, which ParseJsonObject's objects do not.
  const json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return InvalidArgument("not a JSON object");
  const json type = config.value("peft_type", json());
  if (type != "LORA") {
    return InvalidArgument("peft_type is {}, expected \"LORA\"", Shown(type));
  }
  TANDEM_RETURN_IF_ERROR(CheckFeatures(config));
  LoraOptions options;
  TANDEM_ASSIGN_OR_RETURN(options.rank,
                          ParseInteger("r", config.value("r", json())));
  TANDEM_ASSIGN_OR_RETURN(
      options.alpha,
      ParseNumber("lora_alpha", config.value("lora_alpha", json())));
  TANDEM_ASSIGN_OR_RETURN(
      options.dropout,
      ParseNumber("lora_dropout", config.value("lora_dropout", json(0.0))));
  TANDEM_ASSIGN_OR_RETURN(options.use_rslora,
                          ParseSwitch("use_rslora", config));
  TANDEM_ASSIGN_OR_RETURN(options.use_dora, ParseSwitch("use_dora", config));
  TANDEM_ASSIGN_OR_RETURN(
      options.rank_pattern,
      ParsePatterns<int64_t>("rank_pattern", config, ParseInteger));
  TANDEM_ASSIGN_OR_RETURN(
      options.alpha_pattern,
      ParsePatterns<double>("alpha_pattern", config, ParseNumber));
  TANDEM_RETURN_IF_ERROR(ParseTargets(config, options));
  return options;
}

StatusOr<LoraOptions> ReadOptions(const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  StatusOr<LoraOptions> options = ParseOptions(text);
  if (!options.ok()) return Annotate(options.status(), path.string());
  return options;
}

// Copies in fp32, so that nothing points into the file any more.
StatusOr<TensorMap> ReadFloatTensors(const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(const Safetensors file, ReadSafetensors(path));
  TensorMap tensors;
  for (const auto& [name, tensor] : file.tensors) {
    if (!at::isFloatingType(tensor.scalar_type())) {
      return InvalidArgument("{}: tensor '{}' has dtype {}, expected a float",
                             path.string(), name,
                             c10::toString(tensor.scalar_type()));
    }
    tensors[name] =
        tensor.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  }
  return tensors;
}

// PEFT wants whole numbers as integers.
ordered_json Number(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (std::floor(value) == value && std::abs(value) < kExact) {
    return static_cast<int64_t>(value);
  }
  return value;
}

ordered_json TargetsOf(const LoraOptions& options) {
  if (options.target_pattern) return options.target_pattern->expression();
  return options.target_modules.empty() ? KnownTargetModules()
                                        : options.target_modules;
}

template <typename T>
ordered_json PatternsOf(const std::vector<PatternValue<T>>& patterns) {
  ordered_json object = ordered_json::object();
  for (const auto& [modules, value] : patterns) {
    object[modules.expression()] = Number(static_cast<double>(value));
  }
  return object;
}

std::string ConfigText(const LoraOptions& options,
                       const std::string& base_model) {
  const ordered_json config = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base_model},
      {"r", options.rank},
      {"lora_alpha", Number(options.alpha)},
      {"lora_dropout", options.dropout},
      {"target_modules", TargetsOf(options)},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"use_rslora", options.use_rslora},
      {"use_dora", options.use_dora},
      {"modules_to_save", nullptr},
      {"rank_pattern", PatternsOf(options.rank_pattern)},
      {"alpha_pattern", PatternsOf(options.alpha_pattern)},
      {"init_lora_weights", true},
      {"inference_mode", true}};
  return config.dump(2, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}

}  // namespace

Status SaveAdapter(const Adapter& adapter, const std::string& base_model,
                   const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "create", folder);
  TensorMap detached;
  for (const auto& [name, tensor] : adapter.tensors) {
    detached[name] = tensor.detach();
  }
  TANDEM_RETURN_IF_ERROR(
      WriteSafetensors(folder / kTensorsFile, detached, {{"format", "pt"}}));
  return WriteFileAtomically(folder / kConfigFile,
                             ConfigText(adapter.options, base_model));
}

StatusOr<Adapter> LoadAdapter(const std::filesystem::path& folder,
                              const DecoderConfig& config) {
  if (folder.extension() == ".gguf") return LoadLoraGguf(folder, config);
  Adapter adapter;
  TANDEM_ASSIGN_OR_RETURN(adapter.options, ReadOptions(folder / kConfigFile));
  TANDEM_ASSIGN_OR_RETURN(adapter.tensors,
                          ReadFloatTensors(folder / kTensorsFile));
  const Status fits =
      CheckAdapterTensors(config, adapter.options, adapter.tensors);
  if (!fits.ok()) return Annotate(fits, folder.string());
  return adapter;
}

}  // namespace tandem
