// What a teacher says about some examples, stored once and shared: a
// safetensors object that needs no teacher to train on.
#ifndef TANDEM_DISTILL_TEACHER_TARGETS_H_
#define TANDEM_DISTILL_TEACHER_TARGETS_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "common/status.h"
#include "distill/top_k_loss.h"
#include "model/examples.h"
#include "model/packed_batch.h"

namespace tandem {

struct TeacherTargets {
  // Every example has at least one target token.
  std::vector<TokenizedExample> examples;
  std::vector<TopKTargets>
      targets;  // per example: one row per target token, in order
  double temperature = 1;
};

// A batch of some of the examples and the targets of its rows, concatenated:
// row i of `targets` belongs to batch.target_rows[i].
struct DistillationBatch {
  PackedBatch batch;
  TopKTargets targets;
};
// REQUIRES: `indices` is not empty and each is an example of `all`.
DistillationBatch PackTargets(const TeacherTargets& all,
                              const std::vector<int64_t>& indices);

// The file, with N tokens, E examples, R target tokens and k outcomes:
//   tokens [N] int32, is_target [N] uint8, offsets [E + 1] int64 (example e is
//   tokens[offsets[e], offsets[e + 1])), target_bytes [E] int64,
//   indices [R, k] int32, log_probabilities [R, k] fp32, left_over [R] fp32;
//   metadata: format "tandem.teacher_targets.1" and temperature.
// InvalidArgument where there are no examples, or targets do not fit them;
// errors of WriteSafetensors.
Status WriteTeacherTargets(const TeacherTargets& targets,
                           const std::filesystem::path& path);
// Checks everything (the file may come from a peer): InvalidArgument names the
// file, what is wrong and what was expected. The result shares no memory with
// the file.
StatusOr<TeacherTargets> ReadTeacherTargets(const std::filesystem::path& path,
                                            int64_t vocabulary_size);

}  // namespace tandem

#endif  // TANDEM_DISTILL_TEACHER_TARGETS_H_
