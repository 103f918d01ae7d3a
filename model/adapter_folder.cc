// The folder in which PEFT keeps an adapter: adapter_config.json and
// adapter_model.safetensors.
#include <ATen/ATen.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "model/adapted_linears.h"
#include "model/adapter.h"
#include "model/lora_gguf.h"
#include "model/safetensors.h"

namespace tandem {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kConfigFile[] = "adapter_config.json";
constexpr char kTensorsFile[] = "adapter_model.safetensors";

// Features of PEFT's LoRA that change what an adapter computes. Left out, null,
// false and empty all mean that it is not in use.
constexpr const char* kUnsupportedFeatures[] = {"use_dora",
                                                "use_rslora",
                                                "use_qalora",
                                                "use_bdlora",
                                                "lora_bias",
                                                "modules_to_save",
                                                "rank_pattern",
                                                "alpha_pattern",
                                                "fan_in_fan_out",
                                                "exclude_modules",
                                                "layers_to_transform",
                                                "layer_replication",
                                                "target_parameters",
                                                "trainable_token_indices",
                                                "alora_invocation_tokens",
                                                "arrow_config",
                                                "kasa_config",
                                                "monteclora_config",
                                                "velora_config"};

bool IsUnused(const json& value) {
  return value.is_null() || value == false ||
         (value.is_structured() && value.empty());
}

// bias and init_lora_weights are in use whatever they say. Initialisations
// other than these (PiSSA, OLoRA, CorDA, EVA, LoftQ) move the base's weights.
Status CheckFeatures(const json& config) {
  for (const char* feature : kUnsupportedFeatures) {
    const json value = config.value(feature, json());
    if (IsUnused(value)) continue;
    return InvalidArgument("{} is {}, which Tandem does not support", feature,
                           value.dump());
  }
  const json bias = config.value("bias", json("none"));
  if (bias != "none") {
    return InvalidArgument("bias is {}, which Tandem does not support",
                           bias.dump());
  }
  const json init = config.value("init_lora_weights", json(true));
  if (!init.is_boolean() && init != "gaussian") {
    return InvalidArgument(
        "init_lora_weights is {}, which Tandem does not support", init.dump());
  }
  return OkStatus();
}

StatusOr<std::vector<std::string>> ParseTargetModules(const json& config) {
  const json value = config.value("target_modules", json());
  if (!value.is_array() || value.empty()) {
    return InvalidArgument("target_modules is {}, expected a list of names",
                           value.dump());
  }
  std::vector<std::string> modules;
  for (const json& name : value) {
    if (!name.is_string()) {
      return InvalidArgument("target_modules holds {}, expected names",
                             name.dump());
    }
    modules.push_back(name.get<std::string>());
  }
  return modules;
}

StatusOr<LoraOptions> ParseOptions(const json& config) {
  if (!config.is_object()) return InvalidArgument("not a JSON object");
  const json type = config.value("peft_type", json());
  if (type != "LORA") {
    return InvalidArgument("peft_type is {}, expected \"LORA\"", type.dump());
  }
  TANDEM_RETURN_IF_ERROR(CheckFeatures(config));
  LoraOptions options;
  const json rank = config.value("r", json());
  if (!rank.is_number_integer()) {
    return InvalidArgument("r is {}, expected an integer", rank.dump());
  }
  options.rank = rank.get<int64_t>();
  const json alpha = config.value("lora_alpha", json());
  if (!alpha.is_number()) {
    return InvalidArgument("lora_alpha is {}, expected a number", alpha.dump());
  }
  options.alpha = alpha.get<double>();
  TANDEM_ASSIGN_OR_RETURN(options.target_modules, ParseTargetModules(config));
  return options;
}

StatusOr<LoraOptions> ReadOptions(const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  StatusOr<LoraOptions> options = ParseOptions(config);
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

std::string ConfigText(const LoraOptions& options,
                       const std::string& base_model) {
  const ordered_json config = {{"peft_type", "LORA"},
                               {"task_type", "CAUSAL_LM"},
                               {"base_model_name_or_path", base_model},
                               {"r", options.rank},
                               {"lora_alpha", Number(options.alpha)},
                               {"lora_dropout", 0.0},
                               {"target_modules", options.target_modules.empty()
                                                      ? KnownTargetModules()
                                                      : options.target_modules},
                               {"bias", "none"},
                               {"fan_in_fan_out", false},
                               {"use_rslora", false},
                               {"use_dora", false},
                               {"modules_to_save", nullptr},
                               {"rank_pattern", ordered_json::object()},
                               {"alpha_pattern", ordered_json::object()},
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
