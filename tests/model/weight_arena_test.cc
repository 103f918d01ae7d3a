#include "model/weight_arena.h"

#include <gtest/gtest.h>

#include <vector>

#include "model/aten.h"

namespace tandem {
namespace {

uintptr_t AddressOf(const at::Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
}

TEST(WeightArena, GivesMatricesThatOutliveItAndDoNotOverlap) {
  std::vector<at::Tensor> matrices;
  {
    WeightArena arena;
    // Odd sizes, several allocations, and one larger than an allocation.
    for (int i = 0; i < 40; ++i)
      matrices.push_back(arena.Empty(401 + i, 1003, at::kFloat));
    matrices.push_back(arena.Empty(9001, 1001, at::kFloat));
    matrices.push_back(arena.Empty(3, 5, at::kBFloat16));
  }
  for (size_t i = 0; i < matrices.size(); ++i) {
    EXPECT_EQ(AddressOf(matrices[i]) % 64, 0u) << i;
    EXPECT_TRUE(matrices[i].is_contiguous()) << i;
    matrices[i].fill_(static_cast<double>(i));
  }
  for (size_t i = 0; i < matrices.size(); ++i)
    EXPECT_TRUE((matrices[i] == static_cast<double>(i)).all().item<bool>())
        << i;
  EXPECT_EQ(matrices.back().scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace tandem
