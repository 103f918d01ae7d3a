// Configuration messages into the options of model/ and distill/: the one place
// that knows both, used by server and client alike.
#ifndef TANDEM_DISTILL_OPTIONS_FROM_CONFIG_H_
#define TANDEM_DISTILL_OPTIONS_FROM_CONFIG_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>

#include "common/status.h"
#include "distill/distiller.h"
#include "distill/teacher.h"
#include "model/adapter.h"
#include "model/lora_trainer.h"
#include "proto/config.pb.h"

namespace tandem {

// Messages from a file were checked by the config reader, but a task comes from
// a peer: every function here begins with CheckConfigRanges. Unset fields take
// their defaults.

// The ranges that proto/config.proto gives its fields, and those of messages
// inside. InvalidArgument names field, value and range, led by `name`:
// "lora.rank is 0, expected 1 to 1024". NaN is never in range.
Status CheckConfigRanges(const google::protobuf::Message& config,
                         const std::string& name);

// InvalidArgument where `tokens`, the value of the field of this name, is more
// than the model takes: "training.max_sequence_tokens is 4096, the model's
// context length is 2048 tokens".
Status CheckFitsContext(const std::string& name, int64_t tokens,
                        int64_t context_length);

StatusOr<LoraOptions> LoraOptionsFrom(const proto::LoraConfig& config);

StatusOr<AdamWOptions> AdamWOptionsFrom(const proto::OptimizerConfig& config);
// `total_steps` is where the cosine ends; warm-up is cut to it.
StatusOr<ScheduleOptions> ScheduleOptionsFrom(
    const proto::OptimizerConfig& config, int64_t total_steps);
// Both of them and the gradient clipping.
StatusOr<TrainerOptions> TrainerOptionsFrom(
    const proto::OptimizerConfig& config, int64_t total_steps,
    bool freeze_lora_a);

// The two places where the server distils: before the first round
// (initial_steps, initial_teacher_weight, initial_optimizer) and after every
// round (steps_per_round, round_teacher_weight, round_optimizer).
enum class DistillationStage { kInitial, kRound };
// `freeze_lora_a`: of the run's aggregation rule, so that A stays what it was.
StatusOr<DistillerOptions> DistillerOptionsFrom(
    const proto::DistillationConfig& config, DistillationStage stage,
    bool freeze_lora_a, uint64_t seed);

// What the teacher is asked for: top_k and temperature.
StatusOr<TargetOptions> TargetOptionsFrom(
    const proto::DistillationConfig& config);

}  // namespace tandem

#endif  // TANDEM_DISTILL_OPTIONS_FROM_CONFIG_H_
