// Distillation without a federation: what a teacher says about some text goes
// into a file, a student learns from the file, and the result is an adapter
// that PEFT loads.
//
//   example_offline_distillation TEACHER STUDENT TEXT.jsonl OUT_DIR [STEPS]
//
// TEACHER and STUDENT are GGUF files or Hugging Face folders with the same
// tokenizer (`tandem model prune` makes a student). The teacher's targets stay
// in OUT_DIR/targets and are computed once; the adapter is OUT_DIR/adapter.
#include <spdlog/spdlog.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "distill/distiller.h"
#include "distill/teacher.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/evaluation.h"
#include "model/examples.h"

namespace {

namespace fs = std::filesystem;
using tandem::Status;
using tandem::StatusOr;

constexpr int64_t kMaxExamples = 256;
constexpr int64_t kMaxTokens = 128;

// The teacher is in memory only as long as its pass takes.
StatusOr<tandem::TeacherTargets> AskTeacher(
    const std::string& path, const tandem::Tokenizer& student_tokenizer,
    const std::vector<tandem::TokenizedExample>& examples,
    const fs::path& folder) {
  TANDEM_ASSIGN_OR_RETURN(const auto teacher,
                          tandem::LocalTeacher::Load(path, "auto"));
  TANDEM_RETURN_IF_ERROR(teacher.CheckSameVocabulary(student_tokenizer));
  return teacher.Targets(examples, tandem::TargetOptions(), folder);
}

Status Run(const std::string& teacher_path, const std::string& student_path,
           const std::string& text, const fs::path& out, int64_t steps) {
  TANDEM_ASSIGN_OR_RETURN(const tandem::Checkpoint checkpoint,
                          tandem::LoadCheckpoint(student_path));
  TANDEM_ASSIGN_OR_RETURN(const tandem::Tokenizer tokenizer,
                          tandem::Tokenizer::Create(checkpoint.tokenizer));
  TANDEM_ASSIGN_OR_RETURN(const tandem::WeightStorage storage,
                          tandem::ParseComputeDtype("auto"));
  TANDEM_ASSIGN_OR_RETURN(const tandem::Decoder student,
                          tandem::Decoder::Create(checkpoint, storage));
  TANDEM_ASSIGN_OR_RETURN(
      const auto examples,
      tandem::LoadTokenizedExamples(tokenizer, text, kMaxExamples, kMaxTokens));

  TANDEM_ASSIGN_OR_RETURN(
      const tandem::TeacherTargets targets,
      AskTeacher(teacher_path, tokenizer, examples, out / "targets"));

  TANDEM_ASSIGN_OR_RETURN(const tandem::Adapter fresh,
                          tandem::CreateAdapter(student, tandem::LoraOptions(),
                                                /*seed=*/1));
  tandem::DistillerOptions options;
  options.steps = steps;
  options.trainer.schedule.total_steps = steps;
  const auto show = [&](int64_t done, const tandem::StepResult& step) {
    std::printf("step %ld of %ld: loss %.4f\n", done, steps, step.loss);
    return true;
  };
  TANDEM_ASSIGN_OR_RETURN(
      const tandem::DistillationResult result,
      tandem::Distill(student, fresh, targets, options, show));

  const auto before = tandem::Evaluate(student, &fresh, examples);
  const auto after = tandem::Evaluate(student, &result.adapter, examples);
  std::printf("perplexity on the training text: %.2f before, %.2f after\n",
              before.Perplexity(), after.Perplexity());
  TANDEM_RETURN_IF_ERROR(
      tandem::SaveAdapter(result.adapter, student_path, out / "adapter"));
  std::printf("adapter: %s\n", (out / "adapter").c_str());
  return tandem::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5 || argc > 6) {
    std::fprintf(stderr,
                 "usage: %s TEACHER STUDENT TEXT.jsonl OUT_DIR [STEPS]\n",
                 argv[0]);
    return 2;
  }
  const int64_t steps = argc == 6 ? std::atoll(argv[5]) : 24;
  const Status status = tandem::CatchExceptions("distillation", [&] {
    return Run(argv[1], argv[2], argv[3], argv[4], steps);
  });
  if (status.ok()) return 0;
  spdlog::error("{}", tandem::ToString(status));
  return 1;
}
