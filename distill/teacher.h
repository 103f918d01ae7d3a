// Teachers: models whose distributions a student is trained towards.
#ifndef TANDEM_DISTILL_TEACHER_H_
#define TANDEM_DISTILL_TEACHER_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "distill/teacher_targets.h"
#include "model/checkpoint.h"
#include "model/decoder.h"
#include "model/tokenizer.h"

namespace tandem {

struct TargetOptions {
  int64_t top_k = 64;  // cut to the vocabulary's size
  double temperature = 1;
};

// A teacher whose weights are at hand. Targets are computed once per (teacher,
// examples, options) and kept in `cache_folder` under the SHA-256 of those; the
// second call reads the file.
class LocalTeacher {
 public:
  // Errors of LoadCheckpoint and Create.
  static StatusOr<LocalTeacher> Load(const std::filesystem::path& model,
                                     const std::string& compute_dtype);
  // Errors of ParseComputeDtype, Decoder::Create and Tokenizer::Create.
  static StatusOr<LocalTeacher> Create(const Checkpoint& checkpoint,
                                       const std::string& compute_dtype);
  const Tokenizer& tokenizer() const { return tokenizer_; }
  // FailedPrecondition where the tokenizer differs from the student's: targets
  // would name other tokens.
  Status CheckSameVocabulary(const Tokenizer& student) const;
  // InvalidArgument: no examples, one without target tokens or with a token
  // that the teacher does not have, an option out of range. Internal: what the
  // numeric code threw, or a teacher whose probabilities are not finite. A
  // damaged file in the cache is computed anew.
  StatusOr<TeacherTargets> Targets(
      const std::vector<TokenizedExample>& examples,
      const TargetOptions& options,
      const std::filesystem::path& cache_folder) const;

 private:
  LocalTeacher(Decoder model, Tokenizer tokenizer, std::string digest);
  StatusOr<TeacherTargets> Compute(
      const std::vector<TokenizedExample>& examples,
      const TargetOptions& options) const;

  Decoder model_;
  Tokenizer tokenizer_;
  std::string digest_;  // of the weights
};

}  // namespace tandem

#endif  // TANDEM_DISTILL_TEACHER_H_
