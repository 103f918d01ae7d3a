#include "cli/progress_bar.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

namespace tandem::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

int64_t CountOf(char wanted, const std::string& text) {
  return std::count(text.begin(), text.end(), wanted);
}

TEST(ProgressBarTest, TerminalLineHasBarRateAndTimeLeft) {
  SimulatedClock clock;
  std::ostringstream out;
  ProgressBar bar("Training", "steps", clock, out, /*is_terminal=*/true);
  clock.Advance(Seconds(10));
  bar.Update(20, 80, "loss 3.21");
  EXPECT_EQ(
      out.str(),
      "\rTraining [######..................] 20/80 steps, 2/s, 30 s left, "
      "loss 3.21");
}

TEST(ProgressBarTest, NoRateBeforeThereIsOne) {
  SimulatedClock clock;
  std::ostringstream out;
  ProgressBar bar("Training", "steps", clock, out, /*is_terminal=*/false);
  clock.Advance(Seconds(1e-6));
  bar.Update(13, 24);
  EXPECT_EQ(out.str(), "Training 13/24 steps\n");
}

TEST(ProgressBarTest, TerminalRedrawsAtMostTenTimesASecond) {
  SimulatedClock clock;
  std::ostringstream out;
  ProgressBar bar("Training", "steps", clock, out, /*is_terminal=*/true);
  for (int step = 1; step <= 1000; ++step) {
    clock.Advance(Seconds(0.001));
    bar.Update(step, 2000);
  }
  EXPECT_EQ(CountOf('\r', out.str()), 10);
}

TEST(ProgressBarTest, LastStepIsShownHoweverSoonItComes) {
  SimulatedClock clock;
  std::ostringstream out;
  {
    ProgressBar bar("Training", "steps", clock, out, /*is_terminal=*/true);
    clock.Advance(Seconds(1));
    bar.Update(1, 2);
    bar.Update(2, 2);
  }
  EXPECT_THAT(out.str(), HasSubstr("2/2 steps, 2/s, 1 s"));
  EXPECT_THAT(out.str(), EndsWith("\n"));
}

TEST(ProgressBarTest, ShorterLineCoversTheLongerOneBefore) {
  SimulatedClock clock;
  std::ostringstream out;
  ProgressBar bar("T", "steps", clock, out, /*is_terminal=*/true);
  bar.Update(1, 2, "a long note");
  const size_t longer = out.str().size() - 1;
  bar.Update(2, 2);
  EXPECT_EQ(out.str().size(), 2 * (longer + 1));
}

TEST(ProgressBarTest, ElsewhereThereArePlainLinesEveryFiveSeconds) {
  SimulatedClock clock;
  std::ostringstream out;
  {
    ProgressBar bar("Training", "steps", clock, out, /*is_terminal=*/false);
    for (int step = 1; step <= 12; ++step) {
      clock.Advance(Seconds(1));
      bar.Update(step, 13);
    }
  }
  EXPECT_EQ(out.str(),
            "Training 1/13 steps, 1/s, 12 s left\n"
            "Training 6/13 steps, 1/s, 7 s left\n"
            "Training 11/13 steps, 1/s, 2 s left\n");
}

TEST(ProgressBarTest, UnknownTotalShowsACountAlone) {
  SimulatedClock clock;
  std::ostringstream out;
  ProgressBar bar("waiting for clients", "joined", clock, out,
                  /*is_terminal=*/false);
  bar.Update(1, 0);
  bar.Update(2, 0);  // too soon, and not known to be the last
  EXPECT_THAT(out.str(), StartsWith("waiting for clients 1 joined"));
  EXPECT_THAT(out.str(), Not(HasSubstr("left")));
  EXPECT_EQ(CountOf('\n', out.str()), 1);
}

TEST(FormatDurationTest, SecondsMinutesHours) {
  EXPECT_EQ(FormatDuration(Seconds(0.4)), "0 s");
  EXPECT_EQ(FormatDuration(Seconds(59.4)), "59 s");
  EXPECT_EQ(FormatDuration(Seconds(59.6)), "1:00 min");
  EXPECT_EQ(FormatDuration(Seconds(125)), "2:05 min");
  EXPECT_EQ(FormatDuration(Seconds(3723)), "1:02:03 h");
}

}  // namespace
}  // namespace tandem::cli
