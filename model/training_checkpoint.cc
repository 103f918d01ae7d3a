#include "model/training_checkpoint.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "common/digest.h"
#include "common/files.h"
#include "model/aten.h"
#include "model/json_fields.h"
#include "model/safetensors.h"

namespace tandem {
namespace {

using nlohmann::json;

constexpr char kFileName[] = "training.safetensors";
constexpr std::string_view kBestPrefix = "best.";
constexpr char kFormat[] = "tandem.training.1";

// One table for both directions: the counts of a checkpoint by name.
template <typename Checkpoint, typename Visit>
void ForEachCount(Checkpoint& checkpoint, Visit&& visit) {
  auto& progress = checkpoint.progress;
  visit("steps", progress.steps);
  visit("tokens", progress.tokens);
  visit("target_tokens", progress.target_tokens);
  visit("best_step", progress.best_step);
  visit("evaluations_since_best", progress.evaluations_since_best);
  auto& position = checkpoint.batches.examples.position;
  visit("epoch", position.epoch);
  visit("window_start", position.window_start);
  visit("taken", position.taken);
  auto& counts = checkpoint.batches.examples.counts;
  visit("examples", counts.examples);
  visit("example_tokens", counts.tokens);
  visit("cut_tokens", counts.cut_tokens);
  visit("without_target", counts.without_target);
  visit("malformed", counts.malformed);
  auto& packing = checkpoint.batches.packing;
  visit("packed_batches", packing.batches);
  visit("packed_examples", packing.examples);
  visit("packed_tokens", packing.tokens);
  visit("rectangle_tokens", packing.rectangle_tokens);
}

json ProgressJson(const TrainingCheckpoint& checkpoint) {
  json object;
  ForEachCount(checkpoint, [&object](const char* name, int64_t count) {
    object[name] = count;
  });
  object["loss_sum"] = checkpoint.progress.loss_sum;
  if (checkpoint.progress.best_loss)
    object["best_loss"] = *checkpoint.progress.best_loss;
  return object;
}

Status ReadProgress(const std::string& text, TrainingCheckpoint& checkpoint) {
  TANDEM_ASSIGN_OR_RETURN(const json object, ParseJsonObject(text));
  Status status;
  ForEachCount(checkpoint, [&](const char* name, int64_t& count) {
    const StatusOr<int64_t> value =
        IntegerField(object, name, 0, std::numeric_limits<int64_t>::max());
    if (value.ok()) {
      count = *value;
    } else {
      status.Update(value.status());
    }
  });
  TANDEM_RETURN_IF_ERROR(status);
  TANDEM_ASSIGN_OR_RETURN(checkpoint.progress.loss_sum,
                          NumberField(object, "loss_sum", 0));
  if (!HasField(object, "best_loss")) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(checkpoint.progress.best_loss,
                          NumberField(object, "best_loss", 0));
  return OkStatus();
}

Status ReadFingerprint(const std::string& text,
                       TrainingCheckpoint& checkpoint) {
  TANDEM_ASSIGN_OR_RETURN(const json object, ParseJsonObject(text));
  for (const auto& [name, value] : object.items()) {
    if (!value.is_string()) {
      return InvalidArgument("option '{}' is {}, expected a string", name,
                             Shown(value));
    }
    checkpoint.fingerprint[name] = value.get<std::string>();
  }
  return OkStatus();
}

StatusOr<std::string> MetadataOf(const Safetensors& file,
                                 const std::string& name) {
  const auto found = file.metadata.find(name);
  if (found == file.metadata.end()) {
    return InvalidArgument("metadata '{}' is missing", name);
  }
  return found->second;
}

StatusOr<TrainingCheckpoint> ParseTraining(const Safetensors& file) {
  TANDEM_ASSIGN_OR_RETURN(const std::string format, MetadataOf(file, "format"));
  if (format != kFormat) {
    return InvalidArgument("format is '{}', expected '{}'", format, kFormat);
  }
  TrainingCheckpoint checkpoint;
  TANDEM_ASSIGN_OR_RETURN(const std::string progress,
                          MetadataOf(file, "progress"));
  TANDEM_RETURN_IF_ERROR(ReadProgress(progress, checkpoint));
  TANDEM_ASSIGN_OR_RETURN(const std::string options,
                          MetadataOf(file, "options"));
  TANDEM_RETURN_IF_ERROR(ReadFingerprint(options, checkpoint));
  // Copies: the file is going to be replaced.
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with(kBestPrefix)) {
      checkpoint.best_adapter[name.substr(kBestPrefix.size())] = tensor.clone();
    } else {
      checkpoint.trainer[name] = tensor.clone();
    }
  }
  return checkpoint;
}

}  // namespace

Status SaveTrainingCheckpoint(const TrainingCheckpoint& checkpoint,
                              const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "make", folder);
  TensorMap tensors = checkpoint.trainer;
  for (const auto& [name, tensor] : checkpoint.best_adapter) {
    tensors[std::string(kBestPrefix) + name] = tensor;
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string options,
                          FormatJson(json(checkpoint.fingerprint), -1));
  return WriteSafetensors(folder / kFileName, tensors,
                          {{"format", kFormat},
                           {"progress", ProgressJson(checkpoint).dump()},
                           {"options", options},
                           {"options_sha256", Sha256Hex(options)}});
}

StatusOr<std::optional<TrainingCheckpoint>> LoadTrainingCheckpoint(
    const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kFileName;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  TANDEM_ASSIGN_OR_RETURN(const Safetensors file, ReadSafetensors(path));
  StatusOr<TrainingCheckpoint> checkpoint = ParseTraining(file);
  if (!checkpoint.ok()) return Annotate(checkpoint.status(), path.string());
  return *std::move(checkpoint);
}

Status CheckFingerprint(const std::map<std::string, std::string>& made_with,
                        const std::map<std::string, std::string>& now) {
  std::map<std::string, std::string> names = made_with;
  names.insert(now.begin(), now.end());
  const auto value_of = [](const auto& values, const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? "not set" : found->second;
  };
  for (const auto& [name, unused] : names) {
    const std::string before = value_of(made_with, name);
    const std::string value = value_of(now, name);
    if (before == value) continue;
    return FailedPrecondition(
        "the checkpoint was made with {} = {}, now it is {}", name, before,
        value);
  }
  return OkStatus();
}

}  // namespace tandem
