// A client's parts around the tiny checkpoint: model, data, adapter, targets.
#ifndef TANDEM_TESTS_CLIENT_TINY_CLIENT_H_
#define TANDEM_TESTS_CLIENT_TINY_CLIENT_H_

#include <string>
#include <vector>

#include "client/local_data.h"
#include "client/local_model.h"
#include "distill/teacher_targets.h"
#include "model/adapter.h"
#include "model/aten.h"
#include "model/evaluation.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem::testing {

// Made once: the tests only read it.
inline const LocalModel& TinyModel() {
  static const LocalModel model = *CreateLocalModel(TinyCheckpoint(), "fp32");
  return model;
}

inline LoraOptions TinyLoraOptions() {
  LoraOptions options;
  options.rank = 4;
  options.alpha = 8;
  return options;
}

inline Adapter TinyAdapter(uint64_t seed = 1) {
  return *CreateAdapter(TinyModel().decoder.config(), TinyLoraOptions(), seed);
}

inline LocalData TinyData() {
  LocalData data;
  data.name = "tiny";
  for (const char* text :
       {"the cat sat", "the dog sat", "the cow ran", "the hen ran"}) {
    Example example;
    example.text = text;
    data.train.push_back(example);
    data.evaluation.push_back(example);
  }
  return data;
}

inline std::vector<TokenizedExample> TinyExamples() {
  return *TokenizeExamples(TinyModel().tokenizer, TinyData().train, 32, "tiny");
}

// A teacher that is sure of one token everywhere.
inline TeacherTargets OneSidedTargets(int32_t token) {
  TeacherTargets all;
  all.examples = TinyExamples();
  for (const TokenizedExample& example : all.examples) {
    int64_t rows = 0;
    for (const uint8_t target : example.is_target) rows += target;
    TopKTargets targets;
    targets.indices = at::cat({at::full({rows, 1}, token, at::kLong),
                               at::full({rows, 1}, token + 1, at::kLong)},
                              1);
    targets.log_probabilities = at::log(
        at::cat({at::full({rows, 1}, 0.90f), at::full({rows, 1}, 0.05f)}, 1));
    targets.left_over = at::full({rows}, 0.05f);
    all.targets.push_back(targets);
  }
  return all;
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_CLIENT_TINY_CLIENT_H_
