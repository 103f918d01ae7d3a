// Rows about training: a LoRA step, and a step towards a teacher.
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "bench/engine/workload.h"
#include "distill/losses.h"
#include "model/aten.h"
#include "model/checkpoint.h"
#include "model/chunked_head_loss.h"
#include "model/packed_batch.h"

namespace tandem::bench {
namespace {

constexpr int64_t kStudentLayers = 15;

struct TeacherAndStudent {
  Decoder teacher, student;
};

// The student is the teacher without half of its layers; no weight is shared.
StatusOr<TeacherAndStudent> LoadBoth(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const WeightStorage storage,
                          ParseComputeDtype(flags.dtype));
  TANDEM_ASSIGN_OR_RETURN(
      const Checkpoint checkpoint,
      LoadCheckpoint(flags.model, GgufMatrices::kKeepBlocks));
  TANDEM_ASSIGN_OR_RETURN(const Checkpoint pruned,
                          KeepLayers(checkpoint, kStudentLayers));
  TANDEM_ASSIGN_OR_RETURN(Decoder teacher,
                          Decoder::Create(checkpoint, storage));
  TANDEM_ASSIGN_OR_RETURN(Decoder student, Decoder::Create(pruned, storage));
  return TeacherAndStudent{std::move(teacher), std::move(student)};
}

// Rows whose teacher's logits are computed in one product.
constexpr int64_t kTeacherRows = 256;

// Forward KL over the whole vocabulary, asked for rows in order.
RowsLoss KlToTeacher(const Decoder& teacher, const PackedBatch& batch) {
  const at::NoGradGuard no_grad;
  const at::Tensor hidden = teacher.ForwardRows(
      batch.tokens, batch.document_offsets, batch.target_rows, nullptr);
  return [&teacher, hidden, next = at::Tensor(), next_row = int64_t{0}](
             const at::Tensor& logits, int64_t first_row) mutable {
    const int64_t rows = logits.size(0);
    if (first_row == 0 || first_row + rows > next_row + next.size(0)) {
      const int64_t left = hidden.size(0) - first_row;
      next = at::Tensor();  // whose memory is taken again
      next = teacher.Logits(
          hidden.narrow(0, first_row, std::min(kTeacherRows, left)));
      next_row = first_row;
    }
    return ForwardKl(logits, next.narrow(0, first_row - next_row, rows));
  };
}

}  // namespace

Status BenchTraining(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Decoder model, LoadDecoder(flags));
  TANDEM_ASSIGN_OR_RETURN(const auto examples, ReadDocuments(flags.input));
  TANDEM_ASSIGN_OR_RETURN(const Adapter adapter,
                          BenchAdapter(model.config(), flags));
  LoraTrainer trainer(model, adapter, BenchTrainerOptions());
  Repeat(flags.repetitions, "tokens", SettingsOf(flags), [&] {
    StepResult result;
    const double seconds = SecondsOf([&] {
      const PackedBatch batch = PackAll(examples);
      result = trainer.Step({{&batch, CrossEntropyRows(batch.targets)}});
    });
    return Measurement{static_cast<double>(result.tokens), seconds};
  });
  return OkStatus();
}

Status BenchDistillation(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const TeacherAndStudent both, LoadBoth(flags));
  TANDEM_ASSIGN_OR_RETURN(const auto examples, ReadDocuments(flags.input));
  TANDEM_ASSIGN_OR_RETURN(const Adapter adapter,
                          BenchAdapter(both.student.config(), flags));
  LoraTrainer trainer(both.student, adapter, BenchTrainerOptions());
  Repeat(flags.repetitions, "tokens", SettingsOf(flags), [&] {
    StepResult result;
    const double seconds = SecondsOf([&] {
      const PackedBatch batch = PackAll(examples);
      result = trainer.Step({{&batch, KlToTeacher(both.teacher, batch)}});
    });
    return Measurement{static_cast<double>(result.tokens), seconds};
  });
  return OkStatus();
}

}  // namespace tandem::bench
