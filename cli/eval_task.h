// tandem eval --task: a multiple-choice task.
#ifndef TANDEM_CLI_EVAL_TASK_H_
#define TANDEM_CLI_EVAL_TASK_H_

#include <cstdint>
#include <string>

#include "cli/loaded_model.h"
#include "common/status.h"

namespace tandem::cli {

struct EvalTaskFlags {
  std::string task;      // requests.jsonl.gz
  std::string per_item;  // JSONL file to write; empty: none
  int64_t max_items = 0;
};

// Prints metrics with their standard errors as JSON.
Status EvalTask(const LoadedModel& model, const EvalTaskFlags& flags);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_EVAL_TASK_H_
