#include "server/task_message.h"

#include "common/random.h"
#include "server/run_config.h"

namespace tandem {
namespace {

// Depends on client, round and draw, not on the attempt: a round that a restart
// cut short is repeated with the same seeds.
uint64_t TaskSeed(uint64_t run_seed, const RoundRow& round,
                  const TaskRow& task) {
  const uint64_t seed = DeriveSeed(run_seed, "task/" + task.client_id,
                                   static_cast<uint64_t>(round.number));
  return DeriveSeed(seed, "draw", static_cast<uint64_t>(round.draw));
}

void AddTraining(const proto::ServerConfig& config, const TaskObjects& objects,
                 proto::Task& message) {
  const UpdateLimits limits = UpdateLimitsFrom(config);
  *message.mutable_training() = config.training();
  message.mutable_training()->set_distillation_weight(
      ClientDistillationWeight(config));
  if (message.training().distillation_weight() > 0) {
    *message.mutable_auxiliary_targets() = objects.auxiliary_targets;
  }
  message.set_freeze_lora_a(limits.freeze_lora_a);
  message.set_clip_norm_l2(limits.clip_norm_l2);
}

}  // namespace

proto::Task MakeTaskMessage(const proto::ServerConfig& config,
                            const RoundRow& round, const TaskRow& task,
                            const TaskObjects& objects,
                            double deadline_seconds) {
  proto::Task message;
  message.set_task_id(task.task_id);
  message.set_kind(task.kind);
  message.set_round(static_cast<int32_t>(round.number));
  *message.mutable_global_adapter() = objects.global_adapter;
  *message.mutable_lora() = config.lora();
  message.set_seed(TaskSeed(config.run().seed(), round, task));
  message.set_deadline_seconds(deadline_seconds);
  if (task.kind == proto::TRAIN) AddTraining(config, objects, message);
  if (task.kind == proto::EVALUATE) {
    message.set_evaluation_max_sequence_tokens(
        config.evaluation().max_sequence_tokens());
  }
  return message;
}

}  // namespace tandem
