#include "model/byte_pair_merges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/random.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;

std::vector<int32_t> Apply(const BytePairMerges& merges,
                           std::vector<int32_t> ids) {
  SymbolMerger merger;
  for (int32_t id : ids) merger.Add(id, 1);
  merger.MergeAll([&](const Symbol& left, const Symbol& right) {
    return merges.Find(left.id, right.id);
  });
  ids.clear();
  merger.ForEach([&](const Symbol& symbol) { ids.push_back(symbol.id); });
  return ids;
}

TEST(BytePairMergesTest, TheLowestRankGoesFirst) {
  BytePairMerges merges;
  merges.Add(2, 3, 10);
  merges.Add(1, 2, 11);
  merges.Add(11, 3, 12);
  EXPECT_THAT(Apply(merges, {1, 2, 3}), ElementsAre(1, 10));
  EXPECT_THAT(Apply(merges, {1, 2, 1, 3}), ElementsAre(11, 1, 3));
}

TEST(BytePairMergesTest, TheLeftmostOfEqualPairsGoesFirst) {
  BytePairMerges merges;
  merges.Add(1, 1, 2);
  EXPECT_THAT(Apply(merges, {1, 1, 1}), ElementsAre(2, 1));
  merges.Add(2, 2, 3);
  EXPECT_THAT(Apply(merges, {1, 1, 1, 1, 1, 1}), ElementsAre(3, 2));
}

TEST(BytePairMergesTest, ARepeatedPairKeepsItsFirstRank) {
  BytePairMerges merges;
  merges.Add(1, 2, 10);
  merges.Add(2, 3, 11);
  merges.Add(1, 2, 12);
  EXPECT_THAT(Apply(merges, {1, 2, 3}), ElementsAre(10, 3));
}

TEST(BytePairMergesTest, NothingMergesWithNoToken) {
  BytePairMerges merges;
  merges.Add(1, 1, 2);
  EXPECT_THAT(Apply(merges, {1, kNoToken, 1}), ElementsAre(1, kNoToken, 1));
  EXPECT_THAT(Apply(merges, {}), ElementsAre());
  EXPECT_THAT(Apply(merges, {1}), ElementsAre(1));
}

// The definition, quadratic and plain.
struct NaiveMerges {
  std::map<std::pair<int32_t, int32_t>, std::pair<int32_t, int32_t>> merges;

  std::vector<int32_t> Apply(std::vector<int32_t> ids) const {
    while (true) {
      auto best = merges.end();
      size_t at = 0;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        const auto found = merges.find({ids[i], ids[i + 1]});
        if (found == merges.end()) continue;
        if (best == merges.end() || found->second < best->second) {
          best = found;
          at = i;
        }
      }
      if (best == merges.end()) return ids;
      ids[at] = best->second.second;
      ids.erase(ids.begin() + static_cast<int64_t>(at) + 1);
    }
  }
};

TEST(BytePairMergesTest, EqualsTheDefinitionOnRandomTables) {
  SeededRandom random(3);
  for (int round = 0; round < 200; ++round) {
    BytePairMerges merges;
    NaiveMerges naive;
    for (int32_t rank = 0; rank < 30; ++rank) {
      const auto left = static_cast<int32_t>(random.Below(4 + rank));
      const auto right = static_cast<int32_t>(random.Below(4 + rank));
      if (naive.merges.contains({left, right})) continue;
      naive.merges[{left, right}] = {rank, 4 + rank};
      merges.Add(left, right, 4 + rank);
    }
    std::vector<int32_t> ids;
    for (int i = 0; i < 60; ++i) {
      ids.push_back(static_cast<int32_t>(random.Below(4)));
    }
    EXPECT_EQ(Apply(merges, ids), naive.Apply(ids)) << round;
  }
}

TEST(BytePairMergesTest, LongWordsAreNotQuadratic) {
  BytePairMerges merges;
  for (int32_t id = 1; id < 10; ++id) merges.Add(id, id, id + 1);
  // 2^17 symbols: a quadratic algorithm would need minutes.
  const std::vector<int32_t> ids(1 << 17, 1);
  EXPECT_EQ(Apply(merges, ids), std::vector<int32_t>(1 << 8, 10));
}

}  // namespace
}  // namespace tandem
