#include "server/serial_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace tandem {
namespace {

using ::testing::ElementsAre;

TEST(SerialExecutor, RunsInTheOrderOfPosting) {
  SimulatedClock clock;
  std::vector<int> order;
  {
    SerialExecutor executor(clock);
    for (int i = 0; i < 1000; ++i) {
      executor.Post([&order, i] { order.push_back(i); });
    }
  }
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(SerialExecutor, ManyThreadsShareOneWithoutALock) {
  SimulatedClock clock;
  SerialExecutor executor(clock);
  int64_t sum = 0;  // the executor's thread alone touches it
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) executor.Call([&sum] { ++sum; });
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(executor.Call([&sum] { return sum; }), 2000);
}

TEST(SerialExecutor, TimersWaitForTheClockAndComeInOrder) {
  SimulatedClock clock;
  std::vector<int> order;
  std::promise<void> last;
  SerialExecutor executor(clock);
  const TimePoint now = clock.Now();
  executor.PostAt(now + Seconds(3), [&] { last.set_value(); });
  executor.PostAt(now + Seconds(2), [&] { order.push_back(2); });
  executor.PostAt(now + Seconds(1), [&] { order.push_back(1); });
  executor.PostAt(now + Seconds(2), [&] { order.push_back(3); });
  executor.PostAt(now + Seconds(99), [&] { order.push_back(99); });
  EXPECT_TRUE(executor.Call([&] { return order.empty(); }));
  clock.Advance(Seconds(3));
  last.get_future().wait();
  EXPECT_THAT(executor.Call([&] { return order; }), ElementsAre(1, 2, 3));
}

TEST(SerialExecutor, CallOnItsOwnThreadDoesNotWaitForItself) {
  SimulatedClock clock;
  SerialExecutor executor(clock);
  EXPECT_EQ(executor.Call([&] { return executor.Call([] { return 42; }); }),
            42);
}

}  // namespace
}  // namespace tandem
