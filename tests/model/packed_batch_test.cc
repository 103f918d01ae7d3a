#include "model/packed_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "model/aten.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int64_t> Values(const at::Tensor& tensor) {
  EXPECT_EQ(tensor.scalar_type(), at::kLong);
  const int64_t* data = tensor.const_data_ptr<int64_t>();
  return {data, data + tensor.numel()};
}

std::vector<TokenizedExample> NumberedExamples(int count) {
  std::vector<TokenizedExample> examples;
  for (int i = 0; i < count; ++i) {
    examples.push_back({.tokens = {i, 100 + i}, .is_target = {0, 1}});
  }
  return examples;
}

TEST(PackExamplesTest, LaysDocumentsEndToEnd) {
  const TokenizedExample first = {.tokens = {5, 6, 7}, .is_target = {0, 0, 1}};
  const TokenizedExample second = {.tokens = {8, 9, 10, 11},
                                   .is_target = {0, 1, 0, 1}};
  const PackedBatch batch = PackExamples({&first, &second});
  EXPECT_THAT(Values(batch.tokens), ElementsAre(5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(batch.document_offsets, ElementsAre(0, 3, 7));
  // A row predicts the token after it: 7 stands at 2, so row 1, and so on.
  EXPECT_THAT(Values(batch.target_rows), ElementsAre(1, 3, 5));
  EXPECT_THAT(Values(batch.targets), ElementsAre(7, 9, 11));
}

TEST(PackExamplesTest, NeverPredictsTheFirstTokenOfADocument) {
  const TokenizedExample example = {.tokens = {5, 6}, .is_target = {1, 1}};
  const PackedBatch batch = PackExamples({&example, &example});
  EXPECT_THAT(Values(batch.target_rows), ElementsAre(0, 2));
  EXPECT_THAT(Values(batch.targets), ElementsAre(6, 6));
}

TEST(PackExamplesTest, LeavesOutEmptyDocuments) {
  const TokenizedExample empty;
  const TokenizedExample example = {.tokens = {5}, .is_target = {0}};
  const PackedBatch batch = PackExamples({&empty, &example, &empty});
  EXPECT_THAT(Values(batch.tokens), ElementsAre(5));
  EXPECT_THAT(batch.document_offsets, ElementsAre(0, 1));
  EXPECT_THAT(Values(batch.targets), IsEmpty());
}

TEST(BatchSamplerTest, EveryEpochVisitsEachExampleOnceInANewOrder) {
  const std::vector<TokenizedExample> examples = NumberedExamples(20);
  BatchSampler sampler(examples, 5, 3);
  std::vector<std::vector<int64_t>> epochs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> seen;
    for (int batch = 0; batch < 4; ++batch) {
      for (int64_t index : sampler.NextIndices()) seen.push_back(index);
    }
    EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 20u);
    epochs.push_back(seen);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  EXPECT_FALSE(std::is_sorted(epochs[0].begin(), epochs[0].end()));
}

TEST(BatchSamplerTest, BatchesCrossEpochsAndKeepTheirSize) {
  const std::vector<TokenizedExample> examples = NumberedExamples(3);
  BatchSampler sampler(examples, 2, 3);
  std::vector<int64_t> seen;
  for (int batch = 0; batch < 3; ++batch) {
    const std::vector<int64_t> indices = sampler.NextIndices();
    ASSERT_EQ(indices.size(), 2u);
    seen.insert(seen.end(), indices.begin(), indices.end());
  }
  for (int64_t index = 0; index < 3; ++index) {
    EXPECT_EQ(std::count(seen.begin(), seen.end(), index), 2);
  }
}

TEST(BatchSamplerTest, TheSeedAloneDecides) {
  const std::vector<TokenizedExample> examples = NumberedExamples(50);
  BatchSampler first(examples, 7, 11), again(examples, 7, 11);
  BatchSampler other(examples, 7, 12);
  bool differs = false;
  for (int batch = 0; batch < 20; ++batch) {
    const std::vector<int64_t> indices = first.NextIndices();
    EXPECT_EQ(indices, again.NextIndices());
    differs |= indices != other.NextIndices();
  }
  EXPECT_TRUE(differs);
}

TEST(BatchSamplerTest, NextPacksTheExamplesOfNextIndices) {
  const std::vector<TokenizedExample> examples = NumberedExamples(10);
  BatchSampler indices(examples, 3, 1), batches(examples, 3, 1);
  std::vector<int64_t> expected;
  for (int64_t index : indices.NextIndices()) expected.push_back(100 + index);
  EXPECT_EQ(Values(batches.Next().targets), expected);
}

TEST(BatchSamplerTest, RefusesNothingToSample) {
  const std::vector<TokenizedExample> none, some = NumberedExamples(1);
  EXPECT_THROW(BatchSampler(none, 1, 1), std::invalid_argument);
  EXPECT_THROW(BatchSampler(some, 0, 1), std::invalid_argument);
}

}  // namespace
}  // namespace tandem
