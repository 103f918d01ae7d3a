// Teachers: models whose distributions a student is trained towards.
#ifndef TANDEM_DISTILL_TEACHER_H_
#define TANDEM_DISTILL_TEACHER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
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
  // `on_progress(done, total)`, in examples, may be empty; returning false
  // stops early with Cancelled, and nothing is kept. Not called where the cache
  // has the targets.
  // InvalidArgument: no examples, one without target tokens, longer than the
  // teacher's context or with a token that the teacher does not have, an option
  // out of range. Internal: what the numeric code threw, or a teacher whose
  // probabilities are not finite. A damaged file in the cache is computed anew;
  // a cache folder that cannot be made (the system's reason, as in
  // common/files.h) is found out before the teacher's work.
  StatusOr<TeacherTargets> Targets(
      const std::vector<TokenizedExample>& examples,
      const TargetOptions& options, const std::filesystem::path& cache_folder,
      const std::function<bool(int64_t, int64_t)>& on_progress = {}) const;

 private:
  LocalTeacher(Decoder model, Tokenizer tokenizer, std::string digest);
  Status CheckExamples(const std::vector<TokenizedExample>& examples) const;
  // Throws what the numeric code throws.
  StatusOr<TeacherTargets> Compute(
      const std::vector<TokenizedExample>& examples,
      const TargetOptions& options,
      const std::function<bool(int64_t, int64_t)>& on_progress) const;
  // The rows of examples [first, end), laid end to end.
  StatusOr<TopKTargets> ComputePass(
      const std::vector<TokenizedExample>& examples, size_t first, size_t end,
      const TargetOptions& options) const;

  Decoder model_;
  Tokenizer tokenizer_;
  std::string digest_;  // of the weights
};

}  // namespace tandem

#endif  // TANDEM_DISTILL_TEACHER_H_
