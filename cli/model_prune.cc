// tandem model prune
#include <map>
#include <memory>

#include "cli/command.h"
#include "model/checkpoint.h"

namespace tandem::cli {
namespace {

struct ModelPruneFlags {
  std::string model;
  std::string out;
  std::string dtype = "fp32";
  int64_t keep_layers = 0;
  bool json = false;
};

const std::map<std::string, at::ScalarType> kDtypes = {
    {"fp32", at::kFloat}, {"f16", at::kHalf}, {"bf16", at::kBFloat16}};

Status ModelPruneMain(const ModelPruneFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Checkpoint whole, LoadCheckpoint(flags.model));
  TANDEM_ASSIGN_OR_RETURN(const Checkpoint pruned,
                          KeepLayers(whole, flags.keep_layers));
  TANDEM_RETURN_IF_ERROR(
      SaveHuggingFace(pruned, kDtypes.at(flags.dtype), flags.out));
  if (flags.json) {
    PrintJson({{"out", flags.out},
               {"layers", pruned.config.layers},
               {"layers_before", whole.config.layers}});
  } else {
    PrintLine(fmt::format("{}: {} of {} layers, {}", flags.out,
                          pruned.config.layers, whole.config.layers,
                          flags.dtype));
  }
  return OkStatus();
}

}  // namespace

void AddModelPrune(CLI::App& model, Chosen& chosen) {
  auto flags = std::make_shared<ModelPruneFlags>();
  CLI::App* command = AddCommand(
      model, "prune",
      "Keep some of a model's layers, evenly spaced, the first and the last "
      "among them",
      "tandem model prune --model "
      "data/models/SmolLM2-135M-Instruct.Q4_1.gguf --keep-layers 24 --out "
      "data/models/student-24",
      chosen, [flags] { return ModelPruneMain(*flags); });
  command
      ->add_option("--model", flags->model, "GGUF file or Hugging Face folder")
      ->required();
  command->add_option("--keep-layers", flags->keep_layers, "At least 2")
      ->required();
  command->add_option("--out", flags->out, "Hugging Face folder to write")
      ->required();
  command
      ->add_option("--dtype", flags->dtype,
                   "Of the file; fp32 keeps dequantised weights exactly")
      ->check(CLI::IsMember({"fp32", "bf16", "f16"}))
      ->capture_default_str();
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
