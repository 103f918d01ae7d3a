#include "distill/options_from_config.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

namespace tandem {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::optional<double> NumberIn(const Message& message,
                               const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection->GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->GetDouble(message, field);
    default:
      return std::nullopt;
  }
}

Status CheckNumber(double value, const FieldDescriptor* field,
                   const std::string& path) {
  const auto& options = field->options();
  const bool has_min = options.HasExtension(proto::min);
  const bool has_max = options.HasExtension(proto::max);
  const double min = options.GetExtension(proto::min);
  const double max = options.GetExtension(proto::max);
  // Written so that NaN fails too.
  if ((!has_min || value >= min) && (!has_max || value <= max)) {
    return OkStatus();
  }
  if (!has_max) {
    return InvalidArgument("{} is {}, expected at least {}", path, value, min);
  }
  return InvalidArgument("{} is {}, expected {} to {}", path, value, min, max);
}

Status CheckChoice(const std::string& value, const FieldDescriptor* field,
                   const std::string& path) {
  if (!field->options().HasExtension(proto::one_of)) return OkStatus();
  const std::string& choices = field->options().GetExtension(proto::one_of);
  std::istringstream stream(choices);
  for (std::string choice; std::getline(stream, choice, '|');) {
    if (choice == value) return OkStatus();
  }
  return InvalidArgument("{} is '{}', expected one of {}", path, value,
                         choices);
}

// Numbers and choices of a list have no ranges; the fields of messages do.
Status CheckList(const Message& message, const FieldDescriptor* field,
                 const std::string& path) {
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return OkStatus();
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < reflection->FieldSize(message, field); ++i)
    TANDEM_RETURN_IF_ERROR(
        CheckConfigRanges(reflection->GetRepeatedMessage(message, field, i),
                          fmt::format("{}.{}", path, i)));
  return OkStatus();
}

Status CheckField(const Message& message, const FieldDescriptor* field,
                  const std::string& path) {
  if (field->is_repeated()) return CheckList(message, field, path);
  const auto* reflection = message.GetReflection();
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return CheckConfigRanges(reflection->GetMessage(message, field), path);
  }
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return CheckChoice(reflection->GetString(message, field), field, path);
  }
  const std::optional<double> number = NumberIn(message, field);
  return number ? CheckNumber(*number, field, path) : OkStatus();
}

// Every module of a large model may have a pattern of its own.
constexpr int kMaxPatterns = 10'000;

// A rank_pattern or alpha_pattern, whose entries' own value `value_of` gives.
template <typename T, typename Entries, typename ValueOf>
StatusOr<std::vector<PatternValue<T>>> PatternsFrom(const Entries& entries,
                                                    const std::string& path,
                                                    const ValueOf& value_of) {
  if (entries.size() > kMaxPatterns) {
    return InvalidArgument("{} has {} entries, expected at most {}", path,
                           entries.size(), kMaxPatterns);
  }
  std::vector<PatternValue<T>> patterns;
  patterns.reserve(static_cast<size_t>(entries.size()));
  for (const auto& entry : entries) {
    auto modules = ModulePattern::EndOfName(entry.modules());
    if (!modules.ok()) return Annotate(modules.status(), path);
    patterns.push_back({*std::move(modules), value_of(entry)});
  }
  return patterns;
}

}  // namespace

Status CheckConfigRanges(const Message& config, const std::string& name) {
  const auto* type = config.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    TANDEM_RETURN_IF_ERROR(
        CheckField(config, field, name + "." + field->name()));
  }
  return OkStatus();
}

Status CheckFitsContext(const std::string& name, int64_t tokens,
                        int64_t context_length) {
  if (tokens <= context_length) return OkStatus();
  return InvalidArgument("{} is {}, the model's context length is {} tokens",
                         name, tokens, context_length);
}

StatusOr<LoraOptions> LoraOptionsFrom(const proto::LoraConfig& config) {
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(config, "lora"));
  LoraOptions options;
  options.rank = config.rank();
  options.alpha = config.alpha();
  options.target_modules.assign(config.target_modules().begin(),
                                config.target_modules().end());
  options.use_rslora = config.use_rslora();
  options.use_dora = config.use_dora();
  options.dropout = config.dropout();
  TANDEM_ASSIGN_OR_RETURN(
      options.rank_pattern,
      PatternsFrom<int64_t>(config.rank_pattern(), "lora.rank_pattern",
                            [](const auto& entry) { return entry.rank(); }));
  TANDEM_ASSIGN_OR_RETURN(
      options.alpha_pattern,
      PatternsFrom<double>(config.alpha_pattern(), "lora.alpha_pattern",
                           [](const auto& entry) { return entry.alpha(); }));
  return options;
}

StatusOr<AdamWOptions> AdamWOptionsFrom(const proto::OptimizerConfig& config) {
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(config, "optimizer"));
  AdamWOptions options;
  options.learning_rate = config.learning_rate();
  options.beta1 = config.beta1();
  options.beta2 = config.beta2();
  options.epsilon = config.epsilon();
  options.weight_decay = config.weight_decay();
  return options;
}

StatusOr<ScheduleOptions> ScheduleOptionsFrom(
    const proto::OptimizerConfig& config, int64_t total_steps) {
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(config, "optimizer"));
  ScheduleOptions options;
  options.total_steps = std::max<int64_t>(total_steps, 1);
  options.warmup_steps =
      std::min<int64_t>(config.warmup_steps(), options.total_steps);
  options.final_ratio = config.final_learning_rate_ratio();
  return options;
}

StatusOr<TrainerOptions> TrainerOptionsFrom(
    const proto::OptimizerConfig& config, int64_t total_steps,
    bool freeze_lora_a) {
  TrainerOptions options;
  TANDEM_ASSIGN_OR_RETURN(options.optimizer, AdamWOptionsFrom(config));
  TANDEM_ASSIGN_OR_RETURN(options.schedule,
                          ScheduleOptionsFrom(config, total_steps));
  options.max_grad_norm_l2 = config.max_grad_norm_l2();
  options.freeze_lora_a = freeze_lora_a;
  options.lora_plus_ratio = config.lora_plus_ratio();
  return options;
}

StatusOr<DistillerOptions> DistillerOptionsFrom(
    const proto::DistillationConfig& config, DistillationStage stage,
    bool freeze_lora_a, uint64_t seed) {
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(config, "distillation"));
  const bool initial = stage == DistillationStage::kInitial;
  DistillerOptions options;
  options.steps = initial ? config.initial_steps() : config.steps_per_round();
  options.batch_size = config.batch_size();
  TANDEM_ASSIGN_OR_RETURN(options.loss, ParseDistillationLoss(config.loss()));
  options.jsd_beta = config.jsd_beta();
  options.teacher_weight =
      initial ? config.initial_teacher_weight() : config.round_teacher_weight();
  TANDEM_ASSIGN_OR_RETURN(
      options.trainer, TrainerOptionsFrom(initial ? config.initial_optimizer()
                                                  : config.round_optimizer(),
                                          options.steps, freeze_lora_a));
  options.seed = seed;
  options.trainer.dropout_seed = seed;
  return options;
}

StatusOr<TargetOptions> TargetOptionsFrom(
    const proto::DistillationConfig& config) {
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(config, "distillation"));
  TargetOptions options;
  options.top_k = config.top_k();
  options.temperature = config.temperature();
  return options;
}

}  // namespace tandem
