// Multiple choice by log-likelihood: which continuation a model finds
// likeliest.
#ifndef TANDEM_MODEL_CHOICE_SCORES_H_
#define TANDEM_MODEL_CHOICE_SCORES_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "common/status.h"
#include "model/choice_task.h"
#include "model/decoder.h"
#include "model/tokenizer.h"

namespace tandem {

// What the model makes of one item.
struct ChoiceScores {
  std::vector<double> log_likelihoods;  // per choice, nats, over its tokens
  // The choice with the highest log-likelihood: as it is, and divided by the
  // continuation's characters (code points) or bytes, a leading space not
  // counted. Of equals, the first.
  int64_t likeliest = 0;
  int64_t likeliest_per_character = 0;
  int64_t likeliest_per_byte = 0;
  // Of the gold continuation, its leading space counted: the model predicts it.
  double bits_per_byte = 0;
};

// Every choice's log-likelihood, a few items per forward pass. A beginning that
// an item's choices have in common, or a long one that neighbouring items have
// (examples before the question), is computed once. `adapter` may be null;
// `on_progress(done, total)` counts items and may be empty. InvalidArgument
// names the item that does not become tokens.
StatusOr<std::vector<ChoiceScores>> ScoreChoices(
    const Decoder& model, const Adapter* adapter, const Tokenizer& tokenizer,
    const std::vector<ChoiceItem>& items,
    const std::function<void(int64_t, int64_t)>& on_progress = {});

// A mean over items and its standard error: the sample's standard deviation /
// sqrt(items), or 0 for one item.
struct Estimate {
  double mean = 0;
  double standard_error = 0;
};

struct ChoiceMetrics {
  Estimate accuracy, accuracy_per_character, accuracy_per_byte;
  Estimate bits_per_byte;
};

// REQUIRES: both have the same length, at least 1.
ChoiceMetrics MetricsOf(const std::vector<ChoiceItem>& items,
                        const std::vector<ChoiceScores>& scores);

}  // namespace tandem

#endif  // TANDEM_MODEL_CHOICE_SCORES_H_
