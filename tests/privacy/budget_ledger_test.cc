#include "privacy/budget_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/memory_ledger_storage.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::MemoryLedgerStorage;
using ::tandem::testing::StatusIs;
using ::testing::HasSubstr;

constexpr double kDelta = 1e-5;

ReleaseEntry Round(int round, double noise = 2, double rate = 0.5) {
  return {"round-" + std::to_string(round), noise, rate};
}

double EpsilonOf(int releases) {
  RdpAccountant accountant;
  EXPECT_THAT(accountant.Compose(2, 0.5, releases), IsOk());
  return accountant.Guarantee(kDelta)->epsilon;
}

BudgetLedger OpenLedger(LedgerStorage& storage, double budget = 0) {
  auto ledger = BudgetLedger::Open(storage, kDelta, budget);
  EXPECT_THAT(ledger, IsOk());
  return *std::move(ledger);
}

TEST(BudgetLedgerTest, SpendsWhatTheAccountantSays) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger = OpenLedger(storage);
  EXPECT_EQ(ledger.Spent()->epsilon, 0);
  for (int round = 1; round <= 3; ++round) {
    EXPECT_NEAR(ledger.SpentWith(Round(round))->epsilon, EpsilonOf(round),
                1e-12);
    ASSERT_THAT(ledger.Record(Round(round)), IsOk());
    EXPECT_NEAR(ledger.Spent()->epsilon, EpsilonOf(round), 1e-12);
    EXPECT_EQ(ledger.Spent()->delta, kDelta);
  }
}

TEST(BudgetLedgerTest, ComposesReleasesOfDifferentNoise) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger = OpenLedger(storage);
  ASSERT_THAT(ledger.Record(Round(1, 2, 0.5)), IsOk());
  ASSERT_THAT(ledger.Record(Round(2, 3, 1)), IsOk());
  RdpAccountant accountant;
  ASSERT_THAT(accountant.Compose(2, 0.5), IsOk());
  ASSERT_THAT(accountant.Compose(3, 1), IsOk());
  EXPECT_NEAR(ledger.Spent()->epsilon, accountant.Guarantee(kDelta)->epsilon,
              1e-12);
}

TEST(BudgetLedgerTest, KnowsWhatWasRecordedByThisProcessOrAnother) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger = OpenLedger(storage);
  EXPECT_FALSE(ledger.Contains("round-1"));
  ASSERT_THAT(ledger.Record(Round(1)), IsOk());
  EXPECT_TRUE(ledger.Contains("round-1"));
  EXPECT_TRUE(OpenLedger(storage).Contains("round-1"));
  EXPECT_FALSE(OpenLedger(storage).Contains("round-2"));
}

TEST(BudgetLedgerTest, IsDurableBeforeRecordReturns) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger = OpenLedger(storage);
  ASSERT_THAT(ledger.Record(Round(1)), IsOk());
  ASSERT_EQ(storage.entries.size(), 1u);
  EXPECT_EQ(storage.entries[0].release_id, "round-1");
  BudgetLedger reopened = OpenLedger(storage);
  EXPECT_NEAR(reopened.Spent()->epsilon, EpsilonOf(1), 1e-12);
}

TEST(BudgetLedgerTest, TheSameReleaseCountsOnce) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger = OpenLedger(storage, EpsilonOf(1));
  ASSERT_THAT(ledger.Record(Round(1)), IsOk());
  BudgetLedger restarted = OpenLedger(storage, EpsilonOf(1));
  EXPECT_THAT(restarted.Record(Round(1)), IsOk());
  EXPECT_NEAR(restarted.SpentWith(Round(1))->epsilon, EpsilonOf(1), 1e-12);
  EXPECT_EQ(storage.entries.size(), 1u);
}

TEST(BudgetLedgerTest, ANameWithOtherParametersIsRefused) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger = OpenLedger(storage);
  ASSERT_THAT(ledger.Record(Round(1)), IsOk());
  EXPECT_THAT(ledger.Record(Round(1, 4)),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("round-1")));
  EXPECT_THAT(ledger.SpentWith(Round(1, 2, 0.25)),
              StatusIs(StatusCode::kAlreadyExists));
  EXPECT_EQ(storage.entries.size(), 1u);
}

TEST(BudgetLedgerTest, NothingIsRecordedPastTheBudget) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger =
      OpenLedger(storage, 0.5 * (EpsilonOf(2) + EpsilonOf(3)));
  ASSERT_THAT(ledger.Record(Round(1)), IsOk());
  ASSERT_THAT(ledger.Record(Round(2)), IsOk());
  EXPECT_THAT(ledger.Record(Round(3)),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("round-3")));
  EXPECT_EQ(storage.entries.size(), 2u);
  EXPECT_NEAR(ledger.Spent()->epsilon, EpsilonOf(2), 1e-12);
  // A quieter release still fits.
  EXPECT_THAT(ledger.Record(Round(3, 1000, 0.5)), IsOk());
}

TEST(BudgetLedgerTest, ABudgetThatIsMetExactlyIsNotPassed) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger = OpenLedger(storage, EpsilonOf(2));
  ASSERT_THAT(ledger.Record(Round(1)), IsOk());
  EXPECT_THAT(ledger.Record(Round(2)), IsOk());
}

TEST(BudgetLedgerTest, AReleaseThatCouldNotBeStoredIsNotMade) {
  MemoryLedgerStorage storage;
  BudgetLedger ledger = OpenLedger(storage);
  storage.append_status = ResourceExhausted("the disk is full");
  EXPECT_THAT(ledger.Record(Round(1)),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("disk")));
  EXPECT_EQ(ledger.Spent()->epsilon, 0);
  storage.append_status = OkStatus();
  EXPECT_THAT(ledger.Record(Round(1)), IsOk());
}

TEST(BudgetLedgerTest, ReadsEntriesThatWereStoredTwiceOnce) {
  MemoryLedgerStorage storage;
  storage.entries = {Round(1), Round(1), Round(2)};
  EXPECT_NEAR(OpenLedger(storage).Spent()->epsilon, EpsilonOf(2), 1e-12);
  storage.entries = {Round(1), Round(1, 9)};
  EXPECT_THAT(BudgetLedger::Open(storage, kDelta, 0).status(),
              StatusIs(StatusCode::kDataLoss, HasSubstr("round-1")));
}

TEST(BudgetLedgerTest, RefusesBadParametersAndStorage) {
  MemoryLedgerStorage storage;
  for (double delta : {0.0, 1.0, std::nan("")})
    EXPECT_THAT(BudgetLedger::Open(storage, delta, 1).status(),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("delta")));
  for (double budget : {-1.0, std::nan("")})
    EXPECT_THAT(
        BudgetLedger::Open(storage, kDelta, budget).status(),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr("epsilon_budget")));
  BudgetLedger ledger = OpenLedger(storage);
  EXPECT_THAT(ledger.Record(Round(1, std::nan(""))),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("round-1")));
  EXPECT_THAT(ledger.Record({"", 1, 1}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("release_id")));
  EXPECT_TRUE(storage.entries.empty());
  storage.load_status = Internal("state.db is gone");
  EXPECT_THAT(BudgetLedger::Open(storage, kDelta, 1).status(),
              StatusIs(StatusCode::kInternal, HasSubstr("state.db")));
}

}  // namespace
}  // namespace tandem
