// Rows about multiple choice.
#include <algorithm>

#include "bench/engine/workload.h"
#include "model/checkpoint.h"
#include "model/choice_scores.h"
#include "model/choice_task.h"
#include "model/tokenizer.h"

namespace tandem::bench {

Status BenchChoices(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Decoder model, LoadDecoder(flags));
  TANDEM_ASSIGN_OR_RETURN(const Tokenizer tokenizer, LoadTokenizer(flags));
  TANDEM_ASSIGN_OR_RETURN(const ChoiceTask task,
                          ReadChoiceTask(flags.input, flags.items));
  Status status;
  Repeat(flags.repetitions, "items", SettingsOf(flags), [&] {
    const double seconds = SecondsOf([&] {
      status.Update(
          ScoreChoices(model, nullptr, tokenizer, task.items).status());
    });
    return Measurement{static_cast<double>(task.items.size()), seconds};
  });
  return status;
}

}  // namespace tandem::bench
