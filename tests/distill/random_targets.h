// Small examples and targets for tests that need no model.
#ifndef TANDEM_TESTS_DISTILL_RANDOM_TARGETS_H_
#define TANDEM_TESTS_DISTILL_RANDOM_TARGETS_H_

#include <vector>

#include "common/random.h"
#include "distill/teacher_targets.h"
#include "model/aten.h"
#include "tests/distill/loss_oracles.h"

namespace tandem::testing {

// 4 to 9 tokens each, below `vocabulary`; about two thirds are targets, the
// last always.
inline std::vector<TokenizedExample> RandomExamples(int64_t count,
                                                    int64_t vocabulary,
                                                    uint64_t seed) {
  SeededRandom random(seed);
  std::vector<TokenizedExample> examples(count);
  for (TokenizedExample& example : examples) {
    const uint64_t tokens = 4 + random.Below(6);
    for (uint64_t i = 0; i < tokens; ++i) {
      example.tokens.push_back(static_cast<int32_t>(random.Below(vocabulary)));
      example.is_target.push_back(i > 0 && random.Below(3) > 0);
    }
    example.is_target.back() = 1;
    example.target_bytes = static_cast<int64_t>(3 * tokens);
  }
  return examples;
}

inline int64_t TargetCount(const TokenizedExample& example) {
  int64_t count = 0;
  for (uint8_t is_target : example.is_target) count += is_target;
  return count;
}

inline TeacherTargets RandomTargets(int64_t count, int64_t vocabulary,
                                    int64_t k, uint64_t seed) {
  TeacherTargets all;
  all.examples = RandomExamples(count, vocabulary, seed);
  all.temperature = 1.5;
  for (const TokenizedExample& example : all.examples) {
    const at::Tensor logits =
        RandomLogits(TargetCount(example), vocabulary, ++seed);
    all.targets.push_back(TopKOf(logits.to(at::kFloat), k, all.temperature));
  }
  return all;
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_DISTILL_RANDOM_TARGETS_H_
