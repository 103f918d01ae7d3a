#include "client/task_worker.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "client/object_upload.h"
#include "client/update_transform.h"
#include "common/digest.h"
#include "common/peak_memory.h"
#include "distill/options_from_config.h"
#include "distill/teacher_targets.h"
#include "model/safetensors.h"

namespace tandem {
namespace {

// The chain between training and upload that a task asks for.
UpdateTransforms TransformsFor(const proto::Task& task) {
  UpdateTransforms transforms;
  if (task.clip_norm_l2() != 0) {
    transforms.push_back(NewClipTransform(task.clip_norm_l2()));
  }
  return transforms;
}

// A frozen factor's delta is zero and need not travel.
void DropLoraA(TensorMap& update) {
  std::erase_if(update, [](const auto& item) {
    return item.first.ends_with(".lora_A.weight");
  });
}

proto::EvaluationResult ToProto(const EvaluationResult& result,
                                const std::string& name) {
  proto::EvaluationResult message;
  message.set_name(name);
  message.set_loss_nats(result.loss_nats);
  message.set_target_tokens(result.target_tokens);
  message.set_target_bytes(result.target_bytes);
  message.set_examples(result.examples);
  return message;
}

}  // namespace

StatusOr<proto::ReportRequest> TaskWorker::Do(const proto::Task& task,
                                              const OnProgress& on_progress) {
  if (task.kind() != proto::TRAIN && task.kind() != proto::EVALUATE) {
    return InvalidArgument("task {} is of unknown kind {}", task.task_id(),
                           static_cast<int>(task.kind()));
  }
  TANDEM_ASSIGN_OR_RETURN(const Adapter global, FetchGlobalAdapter(task));
  TANDEM_ASSIGN_OR_RETURN(proto::ReportRequest report,
                          task.kind() == proto::TRAIN
                              ? Train(task, global, on_progress)
                              : Evaluate(task, global, on_progress));
  report.set_task_id(task.task_id());
  proto::TaskMetrics& metrics = *report.mutable_metrics();
  metrics.set_peak_rss_bytes(PeakRssBytes());
  metrics.set_bytes_downloaded(session_.bytes_downloaded());
  metrics.set_bytes_uploaded(session_.bytes_uploaded());
  return report;
}

StatusOr<proto::ReportRequest> TaskWorker::Train(
    const proto::Task& task, const Adapter& global,
    const OnProgress& on_progress) {
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(task.training(), "training"));
  std::optional<TeacherTargets> targets;
  if (task.training().distillation_weight() > 0) {
    TANDEM_ASSIGN_OR_RETURN(const auto path, Fetch(task.auxiliary_targets()));
    TANDEM_ASSIGN_OR_RETURN(
        targets,
        ReadTeacherTargets(path, model_.decoder.config().vocabulary_size));
  }
  TANDEM_RETURN_IF_ERROR(Tokenize(data_.train,
                                  task.training().max_sequence_tokens(),
                                  "private training data", train_));
  LocalTask local;
  local.model = &model_.decoder;
  local.global = &global;
  local.examples = &train_.examples;
  local.targets = targets ? &*targets : nullptr;
  local.training = task.training();
  local.freeze_lora_a = task.freeze_lora_a();
  local.seed = task.seed();
  const TimePoint start = clock_.Now();
  TANDEM_ASSIGN_OR_RETURN(LocalUpdate update, TrainLocally(local, on_progress));
  const double seconds = ToSeconds(clock_.Now() - start);
  if (task.freeze_lora_a()) DropLoraA(update.delta);
  TANDEM_RETURN_IF_ERROR(ApplyTransforms(TransformsFor(task), update.delta));

  proto::ReportRequest report;
  TANDEM_ASSIGN_OR_RETURN(*report.mutable_update(), Upload(update.delta));
  report.set_weight(static_cast<double>(update.examples));
  report.mutable_metrics()->set_train_loss(update.mean_loss);
  report.mutable_metrics()->set_trained_tokens(update.trained_tokens);
  report.mutable_metrics()->set_train_seconds(seconds);
  return report;
}

StatusOr<proto::ReportRequest> TaskWorker::Evaluate(
    const proto::Task& task, const Adapter& global,
    const OnProgress& on_progress) {
  proto::EvaluationConfig range;  // borrows the range of the config's field
  range.set_max_sequence_tokens(task.evaluation_max_sequence_tokens());
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(range, "evaluation"));
  TANDEM_RETURN_IF_ERROR(CheckFitsContext(
      "evaluation.max_sequence_tokens", range.max_sequence_tokens(),
      model_.decoder.config().context_length));
  TANDEM_RETURN_IF_ERROR(Tokenize(data_.evaluation,
                                  task.evaluation_max_sequence_tokens(),
                                  "private held-out data", evaluation_));
  TANDEM_ASSIGN_OR_RETURN(const EvaluationResult result,
                          EvaluateLocally(model_.decoder, global,
                                          evaluation_.examples, on_progress));
  proto::ReportRequest report;
  *report.mutable_metrics()->add_evaluation() = ToProto(result, data_.name);
  return report;
}

StatusOr<std::filesystem::path> TaskWorker::Fetch(
    const proto::ObjectRef& object) {
  return cache_.Fetch(object, [&](int64_t offset) {
    return session_.GetObject(object.sha256(), offset);
  });
}

StatusOr<Adapter> TaskWorker::FetchGlobalAdapter(const proto::Task& task) {
  TANDEM_ASSIGN_OR_RETURN(LoraOptions options, LoraOptionsFrom(task.lora()));
  TANDEM_ASSIGN_OR_RETURN(const auto path, Fetch(task.global_adapter()));
  TANDEM_ASSIGN_OR_RETURN(Safetensors file, ReadSafetensors(path));
  TANDEM_RETURN_IF_ERROR(Annotate(
      CheckAdapterTensors(model_.decoder.config(), options, file.tensors),
      "global adapter"));
  return Adapter{std::move(options), std::move(file.tensors)};
}

StatusOr<proto::ObjectRef> TaskWorker::Upload(const TensorMap& update) {
  TANDEM_ASSIGN_OR_RETURN(const std::string bytes,
                          SerializeSafetensors(update));
  proto::ObjectRef object;
  object.set_sha256(Sha256Hex(bytes));
  object.set_size_bytes(static_cast<int64_t>(bytes.size()));
  TANDEM_RETURN_IF_ERROR(
      UploadObject(bytes, session_.terms().chunk_bytes(),
                   [&](int64_t offset, std::string_view chunk) {
                     return session_.PutObject(object, offset, chunk);
                   }));
  return object;
}

Status TaskWorker::Tokenize(const std::vector<Example>& examples,
                            int64_t max_tokens, const std::string& what,
                            Tokenized& tokenized) const {
  if (examples.empty()) {
    return FailedPrecondition("this client has no {}", what);
  }
  if (tokenized.max_tokens == max_tokens) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(
      tokenized.examples,
      TokenizeExamples(model_.tokenizer, examples, max_tokens, what));
  tokenized.max_tokens = max_tokens;
  return OkStatus();
}

}  // namespace tandem
