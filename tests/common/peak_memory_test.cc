#include "common/peak_memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace tandem {
namespace {

TEST(PeakRssBytes, RisesWithWhatIsTouchedAndStays) {
  const int64_t before = PeakRssBytes();
  EXPECT_GT(before, 0);
  constexpr int64_t kBytes = int64_t{256} << 20;
  {
    const std::vector<char> touched(kBytes, 1);
  }
  EXPECT_GE(PeakRssBytes(), kBytes);
#ifndef __SANITIZE_THREAD__  // its shadow of what is touched counts too
  EXPECT_LT(PeakRssBytes(), before + kBytes + (int64_t{64} << 20));
#endif
}

}  // namespace
}  // namespace tandem
