// tandem export
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "distill/options_from_config.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/lora_gguf.h"
#include "model/safetensors.h"
#include "server/run_report.h"

namespace tandem::cli {
namespace {

struct ExportFlags {
  std::string run;
  std::string model;
  std::string adapter;
  std::string format;
  std::string type;
  std::string out;
  uint64_t max_shard_bytes = kMaxShardBytes;
  bool initial = false;
  bool json = false;
};

// What is exported: a model and what was learnt on top of it.
struct Tuned {
  std::string path;  // of the model
  Checkpoint model;
  std::optional<Adapter> adapter;
};

StatusOr<Adapter> AdapterOf(const RunReport& report, const Checkpoint& student,
                            bool initial) {
  const std::filesystem::path& file =
      initial ? report.initial_adapter_file : report.adapter_file;
  if (file.empty()) {
    return FailedPrecondition("run {} has no global adapter yet",
                              report.directory.string());
  }
  TANDEM_ASSIGN_OR_RETURN(Safetensors stored, ReadSafetensors(file));
  Adapter adapter;
  TANDEM_ASSIGN_OR_RETURN(adapter.options,
                          LoraOptionsFrom(report.config.lora()));
  adapter.tensors = std::move(stored.tensors);
  TANDEM_RETURN_IF_ERROR(Annotate(
      CheckAdapterTensors(student.config, adapter.options, adapter.tensors),
      file.string()));
  return adapter;
}

StatusOr<Tuned> TunedByRun(const ExportFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const RunReport report, ReadRunReport(flags.run));
  Tuned tuned;
  tuned.path =
      flags.model.empty() ? report.config.model().student() : flags.model;
  TANDEM_ASSIGN_OR_RETURN(tuned.model, LoadCheckpoint(tuned.path));
  if (Digest(tuned.model) != report.base_model_digest) {
    return FailedPrecondition(
        "{} is not the model that run {} was made with (digest {}); name that "
        "with --model",
        tuned.path, flags.run, report.base_model_digest);
  }
  TANDEM_ASSIGN_OR_RETURN(tuned.adapter,
                          AdapterOf(report, tuned.model, flags.initial));
  return tuned;
}

StatusOr<Tuned> LoadTuned(const ExportFlags& flags) {
  if (!flags.run.empty()) return TunedByRun(flags);
  if (flags.model.empty()) {
    return InvalidArgument("name a run with --run or a model with --model");
  }
  Tuned tuned{.path = flags.model, .model = {}, .adapter = {}};
  TANDEM_ASSIGN_OR_RETURN(tuned.model, LoadCheckpoint(flags.model));
  if (!flags.adapter.empty()) {
    TANDEM_ASSIGN_OR_RETURN(tuned.adapter,
                            LoadAdapter(flags.adapter, tuned.model.config));
  }
  return tuned;
}

StatusOr<at::ScalarType> FolderDtype(const std::string& type) {
  if (type.empty() || type == "bf16") return at::kBFloat16;
  if (type == "f16") return at::kHalf;
  if (type == "f32") return at::kFloat;
  return InvalidArgument(
      "--type {} is for --format gguf; hf takes bf16, f16 or f32", type);
}

Status WriteAdapter(const Tuned& tuned, const ExportFlags& flags) {
  if (!tuned.adapter) {
    return InvalidArgument("--format {} needs an adapter: --run or --adapter",
                           flags.format);
  }
  if (!flags.type.empty()) {
    return InvalidArgument("--type does not go with --format {}, always f32",
                           flags.format);
  }
  if (flags.format == "peft") {
    return SaveAdapter(*tuned.adapter, tuned.path, flags.out);
  }
  return SaveLoraGguf(*tuned.adapter, tuned.model.config, flags.out);
}

Status WriteMerged(const Tuned& tuned, const ExportFlags& flags) {
  const Checkpoint merged =
      tuned.adapter ? MergeAdapter(tuned.model, *tuned.adapter) : tuned.model;
  if (flags.format == "gguf") {
    return SaveGguf(merged, flags.type.empty() ? "f16" : flags.type, flags.out);
  }
  TANDEM_ASSIGN_OR_RETURN(const at::ScalarType dtype, FolderDtype(flags.type));
  return SaveHuggingFace(merged, dtype, flags.out,
                         static_cast<int64_t>(flags.max_shard_bytes));
}

Status ExportMain(const ExportFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Tuned tuned, LoadTuned(flags));
  const bool adapter_alone =
      flags.format == "peft" || flags.format == "gguf-lora";
  TANDEM_RETURN_IF_ERROR(adapter_alone ? WriteAdapter(tuned, flags)
                                       : WriteMerged(tuned, flags));
  if (flags.json) {
    PrintJson({{"out", flags.out}, {"format", flags.format}});
  } else {
    PrintLine(fmt::format("{}: {}", flags.out, flags.format));
  }
  return OkStatus();
}

void AddSource(CLI::App& command, ExportFlags& flags) {
  CLI::Option* run =
      command.add_option("--run", flags.run, "A run's state directory");
  command.add_option("--model", flags.model,
                     "Without a run: the model. With one: the student, where "
                     "it is no longer at the path of the run's configuration");
  command
      .add_option("--adapter", flags.adapter,
                  "Without a run: what `tandem train` wrote, a PEFT folder, or "
                  "a LoRA GGUF")
      ->excludes(run);
  command
      .add_flag("--initial", flags.initial,
                "Of the run, the adapter before the first round")
      ->needs(run);
}

void AddTarget(CLI::App& command, ExportFlags& flags) {
  command
      .add_option("--format", flags.format,
                  "peft: the adapter alone; gguf-lora: the same for llama.cpp, "
                  "beside its base; hf: a merged Hugging Face folder; gguf: a "
                  "merged file for llama.cpp")
      ->required()
      ->check(CLI::IsMember({"peft", "gguf-lora", "hf", "gguf"}));
  command
      .add_option("--type", flags.type,
                  "Of the weights: gguf takes f16 (its default), bf16, q8_0, "
                  "q6_k, q5_0, q4_k, q4_0 or f32; hf takes bf16 (its default), "
                  "f16 or f32")
      ->check(CLI::IsMember(
          {"f16", "bf16", "q8_0", "q6_k", "q5_0", "q4_k", "q4_0", "f32"}));
  command
      .add_option("--max-shard-size", flags.max_shard_bytes,
                  "hf: weights above this go into several files, e.g. 5GB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 50));
  command.add_option("--out", flags.out, "Folder or file to write")->required();
}

}  // namespace

void AddExport(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* command = AddCommand(
      app, "export",
      "The tuned student of a run, or any model, for other tools",
      "tandem export --run runs/quickstart/full --format gguf --type q8_0 "
      "--out student-q8_0.gguf",
      chosen, [flags] { return ExportMain(*flags); });
  AddSource(*command, *flags);
  AddTarget(*command, *flags);
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
