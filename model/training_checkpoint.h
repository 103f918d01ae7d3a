// The file from which a killed training goes on:
// FOLDER/training.safetensors, with the trainer's tensors, the best adapter so
// far ("best." before its names), and in the metadata, as JSON, how far the run
// was and the options it was started with. One file, replaced atomically: its
// parts cannot be of different steps.
#ifndef TANDEM_MODEL_TRAINING_CHECKPOINT_H_
#define TANDEM_MODEL_TRAINING_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "common/status.h"
#include "model/batch_stream.h"
#include "model/tensor_map.h"

namespace tandem {

struct TrainingProgress {
  int64_t steps = 0;
  int64_t tokens = 0;
  int64_t target_tokens = 0;
  double loss_sum = 0;                   // over steps, of their means, nats
  std::optional<double> best_loss = {};  // of evaluations, nats per token
  int64_t best_step = 0;                 // after which it was
  int64_t evaluations_since_best = 0;
};

struct TrainingCheckpoint {
  TrainingProgress progress;
  BatchStream::State batches;
  TensorMap trainer;                               // LoraTrainer::State
  TensorMap best_adapter;                          // empty without evaluations
  std::map<std::string, std::string> fingerprint;  // options by name
};

// The folder is made where it is missing. Errors of WriteSafetensors.
Status SaveTrainingCheckpoint(const TrainingCheckpoint& checkpoint,
                              const std::filesystem::path& folder);

// None where the folder has no such file. InvalidArgument, naming the file and
// what is wrong in it, for one that is damaged.
StatusOr<std::optional<TrainingCheckpoint>> LoadTrainingCheckpoint(
    const std::filesystem::path& folder);

// FailedPrecondition that names the first option in which `made_with` differs
// from `now`.
Status CheckFingerprint(const std::map<std::string, std::string>& made_with,
                        const std::map<std::string, std::string>& now);

}  // namespace tandem

#endif  // TANDEM_MODEL_TRAINING_CHECKPOINT_H_
