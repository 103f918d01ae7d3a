// tandem distill
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/loaded_model.h"
#include "cli/lora_flags.h"
#include "common/log.h"
#include "distill/distiller.h"
#include "distill/teacher.h"
#include "model/examples.h"

namespace tandem::cli {
namespace {

struct DistillFlags {
  std::string teacher;
  ModelFlags student;
  LoraFlags lora;
  DistillerOptions distiller;
  TargetOptions targets;
  std::string loss = "forward_kl";
  std::string target_cache = "runs/teacher-targets";
  int64_t max_examples = 0;
};

StatusOr<TeacherTargets> AskTeacher(const Tokenizer& student,
                                    const DistillFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(
      const LocalTeacher teacher,
      LocalTeacher::Load(flags.teacher, flags.student.dtype));
  TANDEM_RETURN_IF_ERROR(teacher.CheckSameVocabulary(student));
  const int64_t max_examples = flags.max_examples > 0
                                   ? flags.max_examples
                                   : flags.lora.steps * flags.lora.batch_size;
  TANDEM_ASSIGN_OR_RETURN(
      const std::vector<TokenizedExample> examples,
      LoadTokenizedExamples(student, flags.lora.data, max_examples,
                            flags.lora.max_sequence_tokens));
  spdlog::info("asking the teacher about {} examples", examples.size());
  ProgressBar progress = StandardErrorProgress("Teacher", "examples");
  return teacher.Targets(examples, flags.targets, flags.target_cache,
                         [&](int64_t done, int64_t total) {
                           progress.Update(done, total);
                           return true;
                         });
}

StatusOr<DistillerOptions> OptionsOf(const DistillFlags& flags) {
  DistillerOptions options = flags.distiller;
  TANDEM_ASSIGN_OR_RETURN(options.loss, ParseDistillationLoss(flags.loss));
  options.steps = flags.lora.steps;
  options.batch_size = flags.lora.batch_size;
  options.trainer = TrainerOptionsOf(flags.lora);
  options.seed = flags.lora.seed;
  return options;
}

Status DistillMain(const DistillFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const DistillerOptions options, OptionsOf(flags));
  TANDEM_ASSIGN_OR_RETURN(const LoadedModel student, Load(flags.student));
  TANDEM_RETURN_IF_ERROR(
      CheckBeforeTraining(flags.lora, student.decoder.config()));
  TANDEM_ASSIGN_OR_RETURN(const TeacherTargets targets,
                          AskTeacher(student.tokenizer, flags));
  TANDEM_ASSIGN_OR_RETURN(
      Adapter initial,
      student.adapter
          ? *student.adapter
          : CreateAdapter(student.decoder, flags.lora.lora, flags.lora.seed));
  DistillationResult result;
  {
    ProgressBar progress = StandardErrorProgress("Distilling", "steps");
    TANDEM_ASSIGN_OR_RETURN(
        result, Distill(student.decoder, initial, targets, options,
                        [&](int64_t done, const StepResult& step) {
                          ShowStep(progress, done, options.steps, step);
                          return true;
                        }));
  }
  return SaveAndPrint(result.adapter, flags.student.model,
                      {result.mean_loss, result.tokens, result.steps, {}},
                      flags.lora);
}

void AddStudentFlags(CLI::App& command, DistillFlags& flags) {
  command
      .add_option("--teacher", flags.teacher,
                  "GGUF file or Hugging Face folder")
      ->required();
  command
      .add_option("--student", flags.student.model,
                  "GGUF file or Hugging Face folder")
      ->required();
  command.add_option("--adapter", flags.student.adapter,
                     "PEFT folder of the student to go on from");
  command
      .add_option("--dtype", flags.student.dtype,
                  "What matrix products are computed in")
      ->check(CLI::IsMember({"auto", "fp32", "bf16", "quantised"}))
      ->capture_default_str();
  command
      .add_option("--threads", flags.student.threads,
                  "0 takes what OpenMP offers")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

void AddTeacherFlags(CLI::App& command, DistillFlags& flags) {
  command.add_option("--loss", flags.loss, "forward_kl, reverse_kl or jsd")
      ->check(CLI::IsMember({"forward_kl", "reverse_kl", "jsd"}))
      ->capture_default_str();
  command
      .add_option("--jsd-beta", flags.distiller.jsd_beta,
                  "Of the generalised Jensen-Shannon divergence")
      ->check(NumberWithin(0, 1))
      ->capture_default_str();
  command
      .add_option("--teacher-weight", flags.distiller.teacher_weight,
                  "Share of the loss that comes from the teacher; the rest is "
                  "cross entropy")
      ->check(NumberWithin(0, 1))
      ->capture_default_str();
  command
      .add_option("--temperature", flags.targets.temperature,
                  "Of teacher and student in the loss")
      ->check(NumberWithin(0.01, 100))
      ->capture_default_str();
  command
      .add_option("--top-k", flags.targets.top_k,
                  "The teacher's likeliest tokens that are kept")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command
      .add_option("--max-examples", flags.max_examples,
                  "The first so many of --data; 0 takes as many as the steps "
                  "will see")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--target-cache", flags.target_cache,
                  "Folder for the teacher's answers, which are paid for once")
      ->capture_default_str();
}

}  // namespace

void AddDistill(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<DistillFlags>();
  CLI::App* command = AddCommand(
      app, "distill", "Distil a teacher into a student; writes a PEFT folder",
      "tandem distill --teacher "
      "data/models/SmolLM2-135M-Instruct.Q4_1.gguf --student "
      "data/models/student-24 --data data/quickstart/wn.train.jsonl "
      "--max-examples 200 --steps 50 --out runs/distilled",
      chosen, [flags] { return DistillMain(*flags); });
  AddStudentFlags(*command, *flags);
  AddLoraFlags(*command, flags->lora);
  AddTeacherFlags(*command, *flags);
}

}  // namespace tandem::cli
