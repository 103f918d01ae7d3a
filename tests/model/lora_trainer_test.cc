#include "model/lora_trainer.h"

#include <gmock/gmock.h>

#include "model/aten.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::MaxDifference;

struct Task {
  Checkpoint checkpoint = testing::TinyCheckpoint();
  Decoder model = Decoder::Create(checkpoint, at::kFloat).value();
  Adapter adapter = CreateAdapter(checkpoint.config, {4, 8, {}}, 1).value();
  PackedBatch batch = MakeBatch(1);

  // Two documents, every token but the first a target.
  static PackedBatch MakeBatch(uint64_t seed) {
    SeededRandom random(seed);
    std::vector<TokenizedExample> examples(2);
    for (TokenizedExample& example : examples) {
      for (int i = 0; i < 12; ++i)
        example.tokens.push_back(static_cast<int32_t>(random.Below(261)));
      example.is_target.assign(12, 1);
      example.is_target[0] = 0;
    }
    return PackExamples({&examples[0], &examples[1]});
  }

  LossTerm Term(double weight = 1) const {
    return {&batch, CrossEntropyRows(batch.targets), weight};
  }
  static TrainerOptions Options(double learning_rate = 1e-2) {
    TrainerOptions options;
    options.optimizer.learning_rate = learning_rate;
    options.schedule.total_steps = 100;
    return options;
  }
};

double MaxDifference(const Adapter& a, const Adapter& b) {
  double largest = 0;
  for (const auto& [name, tensor] : a.tensors)
    largest = std::max(largest, MaxDifference(tensor, b.tensors.at(name)));
  return largest;
}

TEST(LoraTrainer, LearnsABatchByHeart) {
  const Task task;
  LoraTrainer trainer(task.model, task.adapter, Task::Options());
  const StepResult first = trainer.Step({task.Term()});
  EXPECT_EQ(first.tokens, 24);
  EXPECT_EQ(first.target_tokens, 22);
  EXPECT_NEAR(first.loss, std::log(261), 1.5);
  StepResult last;
  for (int i = 0; i < 60; ++i) last = trainer.Step({task.Term()});
  EXPECT_LT(last.loss, 0.3 * first.loss);
  EXPECT_EQ(trainer.steps_done(), 61);
}

TEST(LoraTrainer, IsBitIdenticalForEqualInput) {
  const Task task;
  LoraTrainer one(task.model, task.adapter, Task::Options());
  LoraTrainer two(task.model, task.adapter, Task::Options());
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(one.Step({task.Term()}).loss, two.Step({task.Term()}).loss);
  EXPECT_EQ(MaxDifference(one.CurrentAdapter(), two.CurrentAdapter()), 0);
}

TEST(LoraTrainer, LeavesTheInitialAdapterAlone) {
  const Task task;
  const Adapter before =
      CreateAdapter(task.checkpoint.config, {4, 8, {}}, 1).value();
  LoraTrainer trainer(task.model, task.adapter, Task::Options());
  trainer.Step({task.Term()});
  EXPECT_EQ(MaxDifference(task.adapter, before), 0);
  const Adapter snapshot = trainer.CurrentAdapter();
  trainer.Step({task.Term()});
  EXPECT_GT(MaxDifference(trainer.CurrentAdapter(), snapshot), 0);
}

TEST(LoraTrainer, FrozenLoraAStaysAndBTrains) {
  const Task task;
  TrainerOptions options = Task::Options();
  options.freeze_lora_a = true;
  LoraTrainer trainer(task.model, task.adapter, options);
  trainer.Step({task.Term()});
  for (const auto& [name, tensor] : trainer.CurrentAdapter().tensors) {
    const double moved = MaxDifference(tensor, task.adapter.tensors.at(name));
    if (IsLoraA(name))
      EXPECT_EQ(moved, 0) << name;
    else
      EXPECT_GT(moved, 0) << name;
  }
}

// AdamW's first step moves every element by the rate.
TEST(LoraTrainer, LoraPlusSpeedsUpAllButA) {
  Task task;
  task.adapter =
      CreateAdapter(task.model, {.rank = 4, .use_dora = true}, 1).value();
  for (auto& [name, tensor] : task.adapter.tensors)
    if (name.ends_with("lora_B.weight")) tensor = at::randn_like(tensor);
  TrainerOptions options = Task::Options(1e-3);
  options.lora_plus_ratio = 16;
  options.optimizer.epsilon = 0;
  LoraTrainer trainer(task.model, task.adapter, options);
  trainer.Step({task.Term()});
  for (const auto& [name, tensor] : trainer.CurrentAdapter().tensors) {
    const double moved = MaxDifference(tensor, task.adapter.tensors.at(name));
    EXPECT_NEAR(moved, IsLoraA(name) ? 1e-3 : 16e-3, 1e-5) << name;
  }
}

TEST(LoraTrainer, DropsByTheSeedAndTheStep) {
  Task task;
  task.adapter =
      CreateAdapter(task.model, {.rank = 4, .dropout = 0.5}, 1).value();
  for (auto& [name, tensor] : task.adapter.tensors)
    tensor = at::randn_like(tensor);
  TrainerOptions options = Task::Options(0);  // every step from the same place
  LoraTrainer one(task.model, task.adapter, options),
      two(task.model, task.adapter, options);
  options.dropout_seed = 2;
  LoraTrainer other(task.model, task.adapter, options);
  const double first = one.Step({task.Term()}).loss;
  EXPECT_EQ(two.Step({task.Term()}).loss, first);
  EXPECT_NE(other.Step({task.Term()}).loss, first);
  EXPECT_NE(one.Step({task.Term()}).loss, first);
  EXPECT_FALSE(one.CurrentAdapter().dropout_seed.has_value());
  // Without a seed, as in evaluation, nothing drops.
  EXPECT_EQ(
      ComputeAdapterGradient(task.model, task.adapter, {task.Term()}).loss,
      ComputeAdapterGradient(task.model, one.CurrentAdapter(), {task.Term()})
          .loss);
}

TEST(LoraTrainer, TermsAddUpByWeight) {
  const Task task;
  PackedBatch other = Task::MakeBatch(2);
  const LossTerm second{&other, CrossEntropyRows(other.targets), 0.25};
  const AdapterGradient a =
      ComputeAdapterGradient(task.model, task.adapter, {task.Term(2)});
  const AdapterGradient b =
      ComputeAdapterGradient(task.model, task.adapter, {second});
  const AdapterGradient both =
      ComputeAdapterGradient(task.model, task.adapter, {task.Term(2), second});
  EXPECT_NEAR(both.loss, a.loss + b.loss, 1e-6);
  EXPECT_EQ(both.tokens, 48);
  for (const auto& [name, tensor] : both.tensors)
    EXPECT_LT(MaxDifference(tensor, a.tensors.at(name) + b.tensors.at(name)),
              1e-6);
}

TEST(LoraTrainer, ClipsByTheGlobalNorm) {
  // With epsilon far above any gradient AdamW's first step is
  // learning_rate * gradient / epsilon: the clipped gradient shows.
  const Task task;
  TrainerOptions options = Task::Options(1);
  options.schedule.final_ratio = 1;
  options.optimizer.epsilon = 1e6;
  options.max_grad_norm_l2 = 0.01;
  LoraTrainer trainer(task.model, task.adapter, options);
  const StepResult step = trainer.Step({task.Term()});
  EXPECT_GT(step.grad_norm_l2, 0.1);
  const AdapterGradient gradient =
      ComputeAdapterGradient(task.model, task.adapter, {task.Term()});
  const Adapter after = trainer.CurrentAdapter();
  const std::string name =
      "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight";
  const at::Tensor moved = after.tensors.at(name);  // B starts at zero
  const at::Tensor expected =
      gradient.tensors.at(name) * (-1e-6 * 0.01 / step.grad_norm_l2);
  EXPECT_LT(MaxDifference(moved, expected),
            1e-4 * expected.abs().max().item<double>());
}

TEST(LoraTrainer, NonFiniteLossThrowsAndChangesNothing) {
  const Task task;
  LoraTrainer trainer(task.model, task.adapter, Task::Options());
  trainer.Step({task.Term()});
  const Adapter before = trainer.CurrentAdapter();
  LossTerm bad = task.Term();
  bad.loss = [](const at::Tensor& logits, int64_t) {
    return logits.sum() * std::numeric_limits<double>::quiet_NaN();
  };
  try {
    trainer.Step({bad});
    FAIL() << "took a NaN";
  } catch (const std::runtime_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("step 1: loss nan"));
  }
  EXPECT_EQ(MaxDifference(trainer.CurrentAdapter(), before), 0);
  EXPECT_EQ(trainer.steps_done(), 1);
}

TEST(LoraTrainer, RefusesATermWithoutTargets) {
  const Task task;
  PackedBatch empty = task.batch;
  empty.target_rows = empty.targets = at::empty({0}, at::kLong);
  LoraTrainer trainer(task.model, task.adapter, Task::Options());
  EXPECT_THROW(trainer.Step({{&empty, CrossEntropyRows(empty.targets), 1}}),
               std::invalid_argument);
}

// AdamW by its paper's formulas, in fp64.
TEST(AdamW, IsItsDefinition) {
  const AdamWOptions options{0.1, 0.8, 0.95, 1e-3, 0.05};
  constexpr int64_t kSize = 20001;  // more than one block, with a rest
  AdamW optimizer(options, kSize);
  SeededRandom random(4);
  std::vector<float> p(kSize), g(kSize);
  for (float& value : p) value = static_cast<float>(random.Normal());
  std::vector<double> expected(p.begin(), p.end()), m(kSize), v(kSize);
  for (int step = 1; step <= 4; ++step) {
    for (float& value : g) value = static_cast<float>(random.Normal());
    const double rate = 0.1 / step, scale = 0.5;
    optimizer.Step(p, g, scale, rate);
    for (int64_t i = 0; i < kSize; ++i) {
      const double gradient = scale * g[i];
      m[i] = 0.8 * m[i] + 0.2 * gradient;
      v[i] = 0.95 * v[i] + 0.05 * gradient * gradient;
      const double m_hat = m[i] / (1 - std::pow(0.8, step));
      const double v_hat = v[i] / (1 - std::pow(0.95, step));
      expected[i] -= rate * 0.05 * expected[i];
      expected[i] -= rate * m_hat / (std::sqrt(v_hat) + 1e-3);
    }
  }
  for (int64_t i = 0; i < kSize; ++i) ASSERT_NEAR(p[i], expected[i], 1e-5);
}

TEST(AdamW, GroupsHaveTheirOwnRates) {
  const AdamWOptions options{.weight_decay = 0.1};
  AdamW grouped(options, 5, {{2, 1}, {3, 16}}), plain(options, 5),
      faster(options, 5);
  const std::vector<float> g = {1, -2, 3, -4, 5};
  std::vector<float> p(5, 1), one(5, 1), sixteen(5, 1);
  for (int step = 0; step < 3; ++step) {
    grouped.Step(p, g, 1, 1e-3);
    plain.Step(one, g, 1, 1e-3);
    faster.Step(sixteen, g, 1, 16e-3);
  }
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(p[i], (i < 2 ? one : sixteen)[i]);
}

TEST(NormL2, SumsSquares) {
  std::vector<float> values(20000, 0.5f);
  values.push_back(100);
  EXPECT_NEAR(NormL2(values), std::sqrt(15000.0), 1e-9);
  EXPECT_EQ(NormL2({}), 0);
}

TEST(ScheduleFactor, WarmsUpThenFollowsACosine) {
  const ScheduleOptions options{4, 104, 0.2};
  EXPECT_DOUBLE_EQ(ScheduleFactor(options, 0), 0.25);
  EXPECT_DOUBLE_EQ(ScheduleFactor(options, 3), 1);
  EXPECT_DOUBLE_EQ(ScheduleFactor(options, 4), 1);
  EXPECT_NEAR(ScheduleFactor(options, 54), 0.6, 1e-12);  // half way
  EXPECT_NEAR(ScheduleFactor(options, 29), 0.2 + 0.8 * (1 + std::sqrt(0.5)) / 2,
              1e-12);
  EXPECT_NEAR(ScheduleFactor(options, 104), 0.2, 1e-12);
  EXPECT_NEAR(ScheduleFactor(options, 1000), 0.2, 1e-12);
  EXPECT_DOUBLE_EQ(ScheduleFactor({0, 1, 0.1}, 0), 1);
}

}  // namespace
}  // namespace tandem
