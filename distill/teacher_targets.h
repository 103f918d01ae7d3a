// What a teacher says about some examples, stored once and shared: a
// safetensors object that needs no teacher to train on.
#ifndef TANDEM_DISTILL_TEACHER_TARGETS_H_
#define TANDEM_DISTILL_TEACHER_TARGETS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "distill/losses.h"
#include "model/decoder.h"
#include "model/examples.h"
#include "model/packed_batch.h"

namespace tandem {

struct TeacherTargets {
  std::vector<TokenizedExample> examples;
  std::vector<TopKTargets>
      targets;  // per example: one row per target token, in order
  double temperature = 1;
};

// A batch of some of the examples and the targets of its rows, concatenated.
struct DistillationBatch {
  PackedBatch batch;
  TopKTargets targets;
};
DistillationBatch PackTargets(const TeacherTargets& all,
                              const std::vector<int64_t>& indices);

// The file: tokens, is_target, offsets, target_bytes, indices (int32),
// log_probabilities, left_over; temperature in the metadata.
// ParseTeacherTargets checks everything (it may come from a peer):
// InvalidArgument names what is wrong.
Status WriteTeacherTargets(const TeacherTargets& targets,
                           const std::filesystem::path& path);
StatusOr<TeacherTargets> ReadTeacherTargets(const std::filesystem::path& path,
                                            int64_t vocabulary_size);

struct TargetOptions {
  int64_t top_k = 64;
  double temperature = 1;
};

// A teacher whose weights are at hand. Targets are computed once per (teacher,
// examples, options) and kept in `cache_folder` under the SHA-256 of those; the
// second call reads the file.
class LocalTeacher {
 public:
  // Errors of LoadCheckpoint and Decoder::Create.
  static StatusOr<LocalTeacher> Load(const std::filesystem::path& model,
                                     const std::string& compute_dtype);
  const Tokenizer& tokenizer() const { return tokenizer_; }
  // FailedPrecondition where the tokenizer differs from the student's: targets
  // would name other tokens.
  Status CheckSameVocabulary(const Tokenizer& student) const;
  StatusOr<TeacherTargets> Targets(
      const std::vector<TokenizedExample>& examples,
      const TargetOptions& options,
      const std::filesystem::path& cache_folder) const;

 private:
  LocalTeacher(Decoder model, Tokenizer tokenizer, std::string digest);
  Decoder model_;
  Tokenizer tokenizer_;
  std::string digest_;
};

}  // namespace tandem

#endif  // TANDEM_DISTILL_TEACHER_TARGETS_H_
