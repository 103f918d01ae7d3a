// The small pieces of common/: digests, seeded random numbers, the simulated
// clock, Status.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <thread>

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/random.h"
#include "common/status.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

// The two test vectors of FIPS 180-4's SHA-256 example papers.
TEST(Sha256, StandardVectors) {
  EXPECT_EQ(Sha256Hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(
      Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, PiecesEqualTheWhole) {
  Sha256 digest;
  digest.Update("ab");
  digest.Update("");
  digest.Update("c");
  EXPECT_EQ(std::move(digest).HexDigest(), Sha256Hex("abc"));
}

TEST(IsSha256Hex, RefusesWhatCouldLeaveAFolder) {
  EXPECT_TRUE(IsSha256Hex(Sha256Hex("")));
  EXPECT_FALSE(IsSha256Hex("../../etc/passwd"));
  EXPECT_FALSE(IsSha256Hex(std::string(63, 'a')));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'A')));
}

TEST(SeededRandom, SameSeedSameStreamOtherSeedOther) {
  SeededRandom a(7), b(7), c(8);
  const uint64_t first = a.NextUint64();
  EXPECT_EQ(first, b.NextUint64());
  EXPECT_NE(first, c.NextUint64());
}

TEST(SeededRandom, DerivedSeedsDifferByLabelAndIndex) {
  EXPECT_NE(DeriveSeed(1, "a", 0), DeriveSeed(1, "b", 0));
  EXPECT_NE(DeriveSeed(1, "a", 0), DeriveSeed(1, "a", 1));
  EXPECT_NE(DeriveSeed(1, "a", 0), DeriveSeed(2, "a", 0));
}

TEST(SeededRandom, NormalHasUnitMoments) {
  SeededRandom random(3);
  double sum = 0, squares = 0;
  const int n = 100'000;
  for (int i = 0; i < n; ++i) {
    const double x = random.Normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0, 0.02);
  EXPECT_NEAR(squares / n, 1, 0.03);
}

TEST(SeededRandom, PermutationHoldsEveryIndexOnce) {
  SeededRandom random(5);
  std::vector<int64_t> order = random.Permutation(1000);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i)
    EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(SimulatedClock, WaitEndsWhenTimeIsAdvanced) {
  SimulatedClock clock;
  const TimePoint deadline = clock.Now() + Seconds(3600);
  std::mutex mutex;
  std::condition_variable condition;
  std::thread waiter([&] {
    std::unique_lock lock(mutex);
    while (clock.Now() < deadline) clock.WaitUntil(condition, lock, deadline);
  });
  clock.Advance(Seconds(3600));
  waiter.join();
  EXPECT_EQ(clock.Now(), deadline);
}

TEST(Status, MessagesAreFormattedAndAnnotated) {
  const Status status =
      Annotate(InvalidArgument("{} is {}", "rank", -1), "a.yaml:3");
  EXPECT_EQ(ToString(status), "a.yaml:3: rank is -1");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
}

TEST(CatchExceptions, BecomesAnInternalError) {
  const Status status = CatchExceptions(
      "task 7", []() -> Status { throw std::runtime_error("shape"); });
  EXPECT_THAT(status, StatusIs(StatusCode::kInternal, "task 7: shape"));
}

TEST(InitLogging, UnknownLevelListsTheKnownOnes) {
  EXPECT_THAT(InitLogging("loud", ""), StatusIs(StatusCode::kInvalidArgument,
                                                HasSubstr("trace, debug")));
}

TEST(InitLogging, UnwritableFileIsNamed) {
  EXPECT_THAT(InitLogging("info", "/proc/none/log"),
              StatusIs(StatusCode::kInternal, HasSubstr("/proc/none/log")));
}

}  // namespace
}  // namespace tandem
