#include "server/run_config.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <optional>
#include <set>

namespace tandem {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Fields, or messages as a whole, that may change between two processes that
// serve the same run.
const std::set<std::string>& FieldsThatMayChange() {
  static const std::set<std::string> fields = {
      "listen",
      "limits",
      "log",
      "simulation",
      "run.name",
      "run.directory",
      "model.student",
      "model.threads",
      "rounds.deadline_seconds",
      "distillation.target_cache_directory",
      "evaluation.client_deadline_seconds",
  };
  return fields;
}

std::string ValueText(const Message& message, const FieldDescriptor* field,
                      int index) {
  std::string text;
  google::protobuf::TextFormat::PrintFieldValueToString(message, field, index,
                                                        &text);
  return text;
}

struct Difference {
  std::string path, stored, given;
};

std::optional<Difference> FirstDifference(const Message& stored,
                                          const Message& given,
                                          const std::string& prefix);

std::optional<Difference> DifferenceInRepeated(const Message& stored,
                                               const Message& given,
                                               const FieldDescriptor* field,
                                               const std::string& path) {
  const int stored_size = stored.GetReflection()->FieldSize(stored, field);
  const int given_size = given.GetReflection()->FieldSize(given, field);
  if (stored_size != given_size) {
    return Difference{path, fmt::format("{} entries", stored_size),
                      fmt::format("{} entries", given_size)};
  }
  for (int i = 0; i < stored_size; ++i) {
    const std::string a = ValueText(stored, field, i);
    const std::string b = ValueText(given, field, i);
    if (a != b) return Difference{fmt::format("{}[{}]", path, i), a, b};
  }
  return std::nullopt;
}

std::optional<Difference> DifferenceInField(const Message& stored,
                                            const Message& given,
                                            const FieldDescriptor* field,
                                            const std::string& path) {
  if (FieldsThatMayChange().contains(path)) return std::nullopt;
  if (field->is_repeated()) {
    return DifferenceInRepeated(stored, given, field, path);
  }
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return FirstDifference(stored.GetReflection()->GetMessage(stored, field),
                           given.GetReflection()->GetMessage(given, field),
                           path + ".");
  }
  const std::string a = ValueText(stored, field, -1);
  const std::string b = ValueText(given, field, -1);
  if (a == b) return std::nullopt;
  return Difference{path, a, b};
}

std::optional<Difference> FirstDifference(const Message& stored,
                                          const Message& given,
                                          const std::string& prefix) {
  const auto* type = stored.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const auto difference =
        DifferenceInField(stored, given, field, prefix + field->name());
    if (difference) return difference;
  }
  return std::nullopt;
}

Status CheckRounds(const proto::RoundsConfig& rounds) {
  if (rounds.selector() == "fixed" && rounds.cohort_size() > 0 &&
      rounds.quorum() > rounds.cohort_size()) {
    return InvalidArgument(
        "rounds.quorum is {}, which rounds.cohort_size {} can never reach",
        rounds.quorum(), rounds.cohort_size());
  }
  return OkStatus();
}

// Where one client's removal lets another into the cohort, two updates change:
// that is not the sensitivity that the accountant knows.
Status CheckPrivateSelection(const proto::RoundsConfig& rounds) {
  if (rounds.selector() == "fixed" && rounds.cohort_size() > 0) {
    return InvalidArgument(
        "rounds.cohort_size is {} with the fixed selector; privacy needs "
        "rounds.selector=poisson, or rounds.cohort_size=0 (everyone)",
        rounds.cohort_size());
  }
  if (!(SamplingRateForPrivacy(rounds) > 0)) {
    return InvalidArgument(
        "privacy needs rounds.sampling_rate above 0 with the poisson "
        "selector, it is {}",
        rounds.sampling_rate());
  }
  return OkStatus();
}

Status CheckPrivacy(const proto::ServerConfig& config) {
  if (!config.privacy().enabled()) return OkStatus();
  TANDEM_RETURN_IF_ERROR(CheckPrivateSelection(config.rounds()));
  const double clip_norm = config.privacy().clip_norm_l2();
  const double max_norm = config.limits().max_update_norm_l2();
  if (clip_norm > max_norm) {
    return InvalidArgument(
        "privacy.clip_norm_l2 is {:g}, expected at most "
        "limits.max_update_norm_l2, {:g}",
        clip_norm, max_norm);
  }
  return ValidateGaussianOptions(*AggregationOptionsFrom(config).privacy);
}

double ExpectedClients(const proto::ServerConfig& config) {
  const auto& rounds = config.rounds();
  if (config.privacy().expected_clients() != 0) {
    return config.privacy().expected_clients();
  }
  if (rounds.selector() == "poisson") {
    return rounds.sampling_rate() * rounds.min_clients();
  }
  return rounds.cohort_size() > 0 ? rounds.cohort_size() : rounds.min_clients();
}

// With A frozen the mean of B is the mean of the updates, which is what `ffa`
// is for. The norms that DoRA divides by depend on B, so this no longer holds.
Status CheckAdapter(const proto::ServerConfig& config) {
  if (!config.lora().use_dora() || !FreezesLoraA(config)) return OkStatus();
  return InvalidArgument(
      "lora.use_dora is true, which aggregation.rule '{}' cannot average "
      "exactly; use fedavg",
      config.aggregation().rule());
}

Status CheckDistillation(const proto::ServerConfig& config) {
  const auto& distillation = config.distillation();
  if (!distillation.enabled()) return OkStatus();
  if (distillation.initial_steps() == 0 &&
      distillation.steps_per_round() == 0 &&
      ClientDistillationWeight(config) == 0) {
    return OkStatus();
  }
  if (config.model().teacher().empty()) {
    return InvalidArgument(
        "model.teacher is missing; name one or set distillation.enabled=false");
  }
  if (distillation.data().empty()) {
    return InvalidArgument(
        "distillation.data is missing; name a file of auxiliary examples or "
        "set distillation.enabled=false");
  }
  return OkStatus();
}

}  // namespace

Status CheckServerConfig(const proto::ServerConfig& config) {
  TANDEM_RETURN_IF_ERROR(CheckRounds(config.rounds()));
  TANDEM_RETURN_IF_ERROR(
      FindAggregationRule(config.aggregation().rule()).status());
  TANDEM_RETURN_IF_ERROR(ValidateServerOptimizerOptions(
      ServerOptimizerOptionsFrom(config.aggregation())));
  TANDEM_RETURN_IF_ERROR(CheckAdapter(config));
  TANDEM_RETURN_IF_ERROR(CheckPrivacy(config));
  return CheckDistillation(config);
}

std::string ConfigToText(const proto::ServerConfig& config) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(config, &text);
  return text;
}

StatusOr<proto::ServerConfig> ConfigFromText(const std::string& text) {
  proto::ServerConfig config;
  if (!google::protobuf::TextFormat::ParseFromString(text, &config)) {
    return DataLoss("the stored configuration cannot be read");
  }
  return config;
}

Status CheckSameConfig(const std::string& stored_text,
                       const proto::ServerConfig& given) {
  TANDEM_ASSIGN_OR_RETURN(const proto::ServerConfig stored,
                          ConfigFromText(stored_text));
  const auto difference = FirstDifference(stored, given, "");
  if (!difference) return OkStatus();
  return FailedPrecondition(
      "the run in {} was started with {} = {}, the configuration now says {}; "
      "give it back its value, or choose another run.directory",
      given.run().directory(), difference->path, difference->stored,
      difference->given);
}

SelectorOptions SelectorOptionsFrom(const proto::RoundsConfig& config) {
  return {config.selector(), config.cohort_size(), config.sampling_rate()};
}

AggregationOptions AggregationOptionsFrom(const proto::ServerConfig& config) {
  AggregationOptions options;
  options.rule = config.aggregation().rule();
  if (!config.privacy().enabled()) return options;
  GaussianOptions& privacy = options.privacy.emplace();
  privacy.clip_norm_l2 = config.privacy().clip_norm_l2();
  privacy.noise_multiplier = config.privacy().noise_multiplier();
  privacy.expected_clients = ExpectedClients(config);
  return options;
}

ServerOptimizerOptions ServerOptimizerOptionsFrom(
    const proto::AggregationConfig& config) {
  ServerOptimizerOptions options;
  options.name = config.server_optimizer();
  options.learning_rate = config.server_learning_rate();
  options.beta1 = config.beta1();
  options.beta2 = config.beta2();
  options.adaptivity = config.adaptivity();
  return options;
}

bool FreezesLoraA(const proto::ServerConfig& config) {
  const auto rule = FindAggregationRule(config.aggregation().rule());
  return rule.ok() && rule->freezes_lora_a;
}

UpdateLimits UpdateLimitsFrom(const proto::ServerConfig& config) {
  UpdateLimits limits;
  limits.max_client_weight = config.limits().max_client_weight();
  limits.max_update_norm_l2 = config.limits().max_update_norm_l2();
  if (config.privacy().enabled()) {
    limits.clip_norm_l2 = config.privacy().clip_norm_l2();
  }
  limits.freeze_lora_a = FreezesLoraA(config);
  return limits;
}

double SamplingRateForPrivacy(const proto::RoundsConfig& config) {
  return config.selector() == "poisson" ? config.sampling_rate() : 1;
}

double ClientDistillationWeight(const proto::ServerConfig& config) {
  return config.distillation().enabled()
             ? config.training().distillation_weight()
             : 0;
}

}  // namespace tandem
