#include "server/local_server_model.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/log.h"
#include "common/random.h"
#include "distill/distiller.h"
#include "distill/options_from_config.h"
#include "model/adapter.h"
#include "model/aten.h"
#include "model/checkpoint.h"
#include "model/decoder.h"
#include "server/auxiliary_schedule.h"
#include "server/run_config.h"

namespace tandem {
namespace {

struct HeldOutData {
  std::string name;
  std::vector<TokenizedExample> examples;
};

// Evaluate knows no other way to stop.
struct EvaluationStopped {
  int64_t done, total;
};

struct Student {
  Decoder decoder;
  Tokenizer tokenizer;
  std::string digest;
};

StatusOr<Student> LoadStudent(const proto::ModelConfig& config) {
  TANDEM_ASSIGN_OR_RETURN(
      const Checkpoint checkpoint,
      LoadCheckpoint(config.student(), GgufMatrices::kKeepBlocks));
  TANDEM_ASSIGN_OR_RETURN(const WeightStorage storage,
                          ParseComputeDtype(config.compute_dtype()));
  TANDEM_ASSIGN_OR_RETURN(Decoder decoder,
                          Decoder::Create(checkpoint, storage));
  TANDEM_ASSIGN_OR_RETURN(Tokenizer tokenizer,
                          Tokenizer::Create(checkpoint.tokenizer));
  return Student{std::move(decoder), std::move(tokenizer), Digest(checkpoint)};
}

// A seeded sample of up to `count` examples that have something to learn.
// Tokenises only as many as it takes.
StatusOr<std::vector<TokenizedExample>> SampleAuxiliary(
    const Tokenizer& tokenizer, const proto::ServerConfig& config,
    int64_t count) {
  std::vector<TokenizedExample> sample;
  if (count == 0) return sample;
  const std::string& file = config.distillation().data();
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Example> all, ReadExamples(file));
  SeededRandom random(DeriveSeed(config.run().seed(), "auxiliary"));
  for (const int64_t i : random.Permutation(static_cast<int64_t>(all.size()))) {
    if (static_cast<int64_t>(sample.size()) == count) break;
    TANDEM_ASSIGN_OR_RETURN(
        TokenizedExample example,
        TokenizeExample(tokenizer, all[static_cast<size_t>(i)],
                        config.distillation().max_sequence_tokens()));
    const auto& mask = example.is_target;
    if (std::find(mask.begin(), mask.end(), 1) == mask.end()) continue;
    sample.push_back(std::move(example));
  }
  if (sample.empty()) {
    return InvalidArgument("{}: no example has a target within {} tokens", file,
                           config.distillation().max_sequence_tokens());
  }
  return sample;
}

StatusOr<std::vector<HeldOutData>> LoadHeldOut(
    const Tokenizer& tokenizer, const proto::EvaluationConfig& config) {
  std::vector<HeldOutData> held_out;
  for (const auto& data : config.data()) {
    TANDEM_ASSIGN_OR_RETURN(
        std::vector<TokenizedExample> examples,
        LoadTokenizedExamples(tokenizer, data.file(), config.max_examples(),
                              config.max_sequence_tokens()));
    held_out.push_back({data.name(), std::move(examples)});
  }
  return held_out;
}

// Of the fields that the run will use.
Status CheckSequenceLengths(const proto::ServerConfig& config,
                            int64_t context_length) {
  TANDEM_RETURN_IF_ERROR(CheckFitsContext(
      "training.max_sequence_tokens", config.training().max_sequence_tokens(),
      context_length));
  if (config.distillation().enabled()) {
    TANDEM_RETURN_IF_ERROR(CheckFitsContext(
        "distillation.max_sequence_tokens",
        config.distillation().max_sequence_tokens(), context_length));
  }
  const auto& evaluation = config.evaluation();
  if (evaluation.data().empty() && !evaluation.at_clients()) return OkStatus();
  return CheckFitsContext("evaluation.max_sequence_tokens",
                          evaluation.max_sequence_tokens(), context_length);
}

TeacherTargets PartOf(const TeacherTargets& all,
                      const std::vector<int64_t>& positions) {
  TeacherTargets part;
  part.temperature = all.temperature;
  for (const int64_t position : positions) {
    part.examples.push_back(all.examples[static_cast<size_t>(position)]);
    part.targets.push_back(all.targets[static_cast<size_t>(position)]);
  }
  return part;
}

class LocalServerModel : public ServerModel {
 public:
  LocalServerModel(const proto::ServerConfig& config, Student student,
                   LoraOptions lora, std::vector<TokenizedExample> auxiliary,
                   std::vector<HeldOutData> held_out)
      : config_(config),
        student_(std::move(student)),
        lora_(std::move(lora)),
        schedule_(config),
        auxiliary_(std::move(auxiliary)),
        held_out_(std::move(held_out)) {}

  std::string base_model_digest() const override { return student_.digest; }

  StatusOr<TensorMap> InitialAdapter(const Progress& progress) override {
    return Catch([&]() -> StatusOr<TensorMap> {
      TANDEM_ASSIGN_OR_RETURN(
          Adapter adapter,
          CreateAdapter(student_.decoder, lora_,
                        DeriveSeed(config_.run().seed(), "lora")));
      if (!config_.distillation().enabled() ||
          config_.distillation().initial_steps() == 0) {
        return std::move(adapter.tensors);
      }
      return DistilOn(adapter.tensors, DistillationStage::kInitial, 0,
                      schedule_.Initial(available()), progress);
    });
  }

  bool DistilsRounds() const override {
    return config_.distillation().enabled() &&
           config_.distillation().steps_per_round() > 0;
  }

  StatusOr<TensorMap> Distil(const TensorMap& adapter, int64_t round,
                             const Progress& progress) override {
    return Catch([&] {
      return DistilOn(adapter, DistillationStage::kRound, round,
                      schedule_.Round(round, available()), progress);
    });
  }

  StatusOr<std::vector<NamedEvaluation>> EvaluateAdapter(
      const TensorMap& tensors, const Progress& progress) override {
    return Catch([&]() -> StatusOr<std::vector<NamedEvaluation>> {
      try {
        return EvaluateHeldOut(Adapter{lora_, tensors}, progress);
      } catch (const EvaluationStopped& stopped) {
        return Cancelled("evaluation stopped after example {} of {}",
                         stopped.done, stopped.total);
      }
    });
  }

  Status WriteClientTargets(const std::filesystem::path& file,
                            const Progress& progress) override {
    return Catch([&]() -> Status {
      progress(0, 0);
      TANDEM_RETURN_IF_ERROR(MakeTargets(progress));
      return WriteTeacherTargets(
          PartOf(*targets_, schedule_.Clients(available())), file);
    });
  }

 private:
  static int64_t Size(const std::vector<TokenizedExample>& examples) {
    return static_cast<int64_t>(examples.size());
  }
  int64_t available() const { return Size(auxiliary_); }

  // Throws EvaluationStopped where `progress` says so.
  std::vector<NamedEvaluation> EvaluateHeldOut(const Adapter& adapter,
                                               const Progress& progress) {
    int64_t total = 0;
    for (const auto& data : held_out_) total += Size(data.examples);
    std::vector<NamedEvaluation> results;
    int64_t before = 0;
    for (const auto& data : held_out_) {
      auto report = [&](int64_t done, int64_t) {
        if (!progress(before + done, total)) {
          throw EvaluationStopped{before + done, total};
        }
      };
      results.push_back({data.name, Evaluate(student_.decoder, &adapter,
                                             data.examples, report)});
      before += Size(data.examples);
    }
    return results;
  }

  // The task boundary of numeric code. The number of threads belongs to the
  // thread that computes, and so is set here.
  template <typename Body>
  auto Catch(Body&& body) -> std::invoke_result_t<Body> {
    if (config_.model().threads() > 0) {
      at::set_num_threads(config_.model().threads());
    }
    return CatchExceptions("the server's model", body);
  }

  // The teacher's pass over everything that the run will use, paid once: the
  // second run, and a restart, find it in target_cache_directory.
  Status MakeTargets(const Progress& progress) {
    if (targets_) return OkStatus();
    TANDEM_ASSIGN_OR_RETURN(
        const LocalTeacher teacher,
        LocalTeacher::Load(config_.model().teacher(),
                           config_.model().compute_dtype()));
    TANDEM_RETURN_IF_ERROR(teacher.CheckSameVocabulary(student_.tokenizer));
    TANDEM_ASSIGN_OR_RETURN(const TargetOptions options,
                            TargetOptionsFrom(config_.distillation()));
    TANDEM_ASSIGN_OR_RETURN(
        targets_,
        teacher.Targets(auxiliary_, options,
                        config_.distillation().target_cache_directory(),
                        progress));
    return OkStatus();
  }

  StatusOr<TensorMap> DistilOn(const TensorMap& tensors,
                               DistillationStage stage, int64_t round,
                               const std::vector<int64_t>& positions,
                               const Progress& progress) {
    progress(0, 0);
    TANDEM_RETURN_IF_ERROR(MakeTargets(progress));
    TANDEM_ASSIGN_OR_RETURN(
        const DistillerOptions options,
        DistillerOptionsFrom(config_.distillation(), stage,
                             FreezesLoraA(config_),
                             DeriveSeed(config_.run().seed(), "distillation",
                                        static_cast<uint64_t>(round))));
    TANDEM_ASSIGN_OR_RETURN(
        DistillationResult result,
        tandem::Distill(student_.decoder, Adapter{lora_, tensors},
                        PartOf(*targets_, positions), options,
                        [&](int64_t done, const StepResult&) {
                          return progress(done, options.steps);
                        }));
    spdlog::info("distilled {} steps, mean loss {:.4f} nats per target token",
                 result.steps, result.mean_loss);
    return std::move(result.adapter.tensors);
  }

  const proto::ServerConfig config_;
  const Student student_;
  const LoraOptions lora_;
  const AuxiliarySchedule schedule_;
  const std::vector<TokenizedExample> auxiliary_;
  const std::vector<HeldOutData> held_out_;
  std::optional<TeacherTargets> targets_;  // of auxiliary_, once made
};

}  // namespace

StatusOr<std::unique_ptr<ServerModel>> LoadServerModel(
    const proto::ServerConfig& config) {
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(config, "server"));
  TANDEM_ASSIGN_OR_RETURN(LoraOptions lora, LoraOptionsFrom(config.lora()));
  TANDEM_ASSIGN_OR_RETURN(Student student, LoadStudent(config.model()));
  TANDEM_RETURN_IF_ERROR(
      CheckSequenceLengths(config, student.decoder.config().context_length));
  TANDEM_ASSIGN_OR_RETURN(std::vector<TokenizedExample> auxiliary,
                          SampleAuxiliary(student.tokenizer, config,
                                          AuxiliarySchedule(config).size()));
  TANDEM_ASSIGN_OR_RETURN(std::vector<HeldOutData> held_out,
                          LoadHeldOut(student.tokenizer, config.evaluation()));
  return std::unique_ptr<ServerModel>(std::make_unique<LocalServerModel>(
      config, std::move(student), std::move(lora), std::move(auxiliary),
      std::move(held_out)));
}

}  // namespace tandem
