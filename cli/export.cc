// tandem export
#include <memory>
#include <string>

#include "cli/command.h"
#include "distill/options_from_config.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "server/run_report.h"

namespace tandem::cli {
namespace {

struct ExportFlags {
  std::string run;
  std::string model;
  std::string format;
  std::string type;
  std::string out;
  bool initial = false;
  bool json = false;
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

StatusOr<at::ScalarType> FolderDtype(const std::string& type) {
  if (type.empty() || type == "bf16") return at::kBFloat16;
  if (type == "f16") return at::kHalf;
  if (type == "f32") return at::kFloat;
  return InvalidArgument(
      "--type {} is for --format gguf; hf takes bf16, f16 or f32", type);
}

Status Write(const Checkpoint& student, const Adapter& adapter,
             const std::string& student_path, const ExportFlags& flags) {
  if (flags.format == "peft") {
    return SaveAdapter(adapter, student_path, flags.out);
  }
  const Checkpoint merged = MergeAdapter(student, adapter);
  if (flags.format == "gguf") {
    return SaveGguf(merged, flags.type.empty() ? "f16" : flags.type, flags.out);
  }
  TANDEM_ASSIGN_OR_RETURN(const at::ScalarType dtype, FolderDtype(flags.type));
  return SaveHuggingFace(merged, dtype, flags.out);
}

Status ExportMain(const ExportFlags& flags) {
  if (flags.format == "peft" && !flags.type.empty()) {
    return InvalidArgument("--type does not go with --format peft, always f32");
  }
  TANDEM_ASSIGN_OR_RETURN(const RunReport report, ReadRunReport(flags.run));
  const std::string student_path =
      flags.model.empty() ? report.config.model().student() : flags.model;
  TANDEM_ASSIGN_OR_RETURN(const Checkpoint student,
                          LoadCheckpoint(student_path));
  if (Digest(student) != report.base_model_digest) {
    return FailedPrecondition(
        "{} is not the model that run {} was made with (digest {}); name that "
        "with --model",
        student_path, flags.run, report.base_model_digest);
  }
  TANDEM_ASSIGN_OR_RETURN(const Adapter adapter,
                          AdapterOf(report, student, flags.initial));
  TANDEM_RETURN_IF_ERROR(Write(student, adapter, student_path, flags));
  if (flags.json) {
    PrintJson({{"out", flags.out}, {"format", flags.format}});
  } else {
    PrintLine(fmt::format("{}: {}", flags.out, flags.format));
  }
  return OkStatus();
}

}  // namespace

void AddExport(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* command = AddCommand(
      app, "export", "The tuned student of a run, for other tools",
      "tandem export --run runs/quickstart/full --format gguf --type q8_0 "
      "--out student-q8_0.gguf",
      chosen, [flags] { return ExportMain(*flags); });
  command->add_option("--run", flags->run, "The run's state directory")
      ->required();
  command
      ->add_option("--format", flags->format,
                   "peft: the adapter alone; hf: a merged Hugging Face folder; "
                   "gguf: a merged file for llama.cpp")
      ->required()
      ->check(CLI::IsMember({"peft", "hf", "gguf"}));
  command
      ->add_option("--type", flags->type,
                   "Of the weights: gguf takes f16 (its default), bf16, q8_0, "
                   "q4_0 or f32; hf takes bf16 (its default), f16 or f32")
      ->check(CLI::IsMember({"f16", "bf16", "q8_0", "q4_0", "f32"}));
  command->add_option("--out", flags->out, "Folder or file to write")
      ->required();
  command->add_option("--model", flags->model,
                      "The student, where it is no longer at the path of the "
                      "run's configuration");
  command->add_flag("--initial", flags->initial,
                    "The adapter before the first round");
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
