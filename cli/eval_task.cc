#include "cli/eval_task.h"

#include <chrono>
#include <vector>

#include "cli/command.h"
#include "cli/progress_bar.h"
#include "common/files.h"
#include "model/choice_scores.h"
#include "model/choice_task.h"

namespace tandem::cli {
namespace {

Json EstimateJson(const Estimate& estimate) {
  return {{"value", estimate.mean},
          {"standard_error", estimate.standard_error}};
}

Status WritePerItem(const std::string& path,
                    const std::vector<ChoiceItem>& items,
                    const std::vector<ChoiceScores>& scores) {
  std::string lines;
  for (size_t i = 0; i < items.size(); ++i) {
    const Json line = {
        {"doc_id", items[i].id},
        {"gold", items[i].gold},
        {"choice", scores[i].likeliest},
        {"choice_per_character", scores[i].likeliest_per_character},
        {"choice_per_byte", scores[i].likeliest_per_byte},
        {"bits_per_byte", scores[i].bits_per_byte},
        {"log_likelihoods", scores[i].log_likelihoods}};
    lines += line.dump() + '\n';
  }
  return WriteFileAtomically(path, lines);
}

StatusOr<std::vector<ChoiceScores>> ScoreWithProgress(
    const LoadedModel& model, const std::vector<ChoiceItem>& items) {
  ProgressBar progress = StandardErrorProgress("Evaluating", "items");
  return ScoreChoices(model.decoder, model.adapter_or_null(), model.tokenizer,
                      items, [&progress](int64_t done, int64_t total) {
                        progress.Update(done, total);
                      });
}

}  // namespace

Status EvalTask(const LoadedModel& model, const EvalTaskFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const ChoiceTask task,
                          ReadChoiceTask(flags.task, flags.max_items));
  const auto start = std::chrono::steady_clock::now();
  TANDEM_ASSIGN_OR_RETURN(const std::vector<ChoiceScores> scores,
                          ScoreWithProgress(model, task.items));
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  if (!flags.per_item.empty())
    TANDEM_RETURN_IF_ERROR(WritePerItem(flags.per_item, task.items, scores));
  const ChoiceMetrics metrics = MetricsOf(task.items, scores);
  PrintJson(
      {{"task", task.name},
       {"items", task.items.size()},
       {"accuracy", EstimateJson(metrics.accuracy)},
       {"accuracy_per_character", EstimateJson(metrics.accuracy_per_character)},
       {"accuracy_per_byte", EstimateJson(metrics.accuracy_per_byte)},
       {"bits_per_byte", EstimateJson(metrics.bits_per_byte)},
       {"seconds", elapsed.count()}});
  return OkStatus();
}

}  // namespace tandem::cli
