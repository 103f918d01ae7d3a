#include "server/sqlite_state_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <fstream>
#include <limits>

#include "common/files.h"
#include "server/round_state.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TempFolder;

RunRow ARun() {
  RunRow run;
  run.run_id = "id";
  run.name = "a run; it's named";
  run.state = RunState::kBudgetExhausted;
  run.reason = "why";
  run.config = "run { seed: 1 }";
  run.base_model_digest = "m";
  run.selection_seed = std::numeric_limits<uint64_t>::max() - 1;
  run.initial_adapter = "i";
  run.auxiliary_targets = "t";
  run.adapter = "a";
  run.optimizer_state = "o";
  run.committed_rounds = 3;
  run.started = TimePoint(Duration(5));
  run.ended = TimePoint(Duration(6));
  run.server_seconds = 1.5;
  run.server_peak_rss_bytes = int64_t{1} << 40;
  return run;
}

RoundRow ARound(int64_t number = 2, int64_t attempt = 3) {
  RoundRow round;
  round.number = number;
  round.attempt = attempt;
  round.draw = 1;
  round.state = RoundState::kSelecting;
  round.reason = "why";
  round.interrupted = true;
  round.started = TimePoint(Duration(7));
  round.ended = TimePoint(Duration(8));
  round.adapter_before = "x";
  round.adapter_after = "y";
  round.epsilon = 0.1;
  round.delta = 1e-300;
  return round;
}

TEST(SqliteStateStore, EveryFieldComesBackInAnotherProcess) {
  const TempFolder folder;
  {
    TANDEM_ASSERT_OK_AND_ASSIGN(auto store,
                                SqliteStateStore::Open(folder / "state.db"));
    EXPECT_FALSE((*store->LoadRun()).has_value());
    ASSERT_THAT(store->SaveRun(ARun()), IsOk());
    ASSERT_THAT(store->SaveRound(ARound()), IsOk());
    ASSERT_THAT(store->SaveClient(
                    {"c", TimePoint(Duration(1)), 2, 3, 4.5, 6, 7, 8, 9, 10}),
                IsOk());
    ASSERT_THAT(
        store->SaveTask({"t", 2, 3, proto::TRAIN, "c", proto::NOT_FINITE,
                         std::string("with\0zero", 9), "u", 0.25}),
        IsOk());
    ASSERT_THAT(store->SaveContribution({2, 3, "c", "u", 0.1, 0.2}), IsOk());
    ASSERT_THAT(store->SaveEvaluation(
                    {2,
                     3,
                     "",
                     "n",
                     {std::numeric_limits<double>::quiet_NaN(), 1, 2, 3}}),
                IsOk());
    ASSERT_THAT(store->Append({"r", 1.5, 0.5}), IsOk());
  }
  TANDEM_ASSERT_OK_AND_ASSIGN(
      auto store, SqliteStateStore::OpenReadOnly(folder / "state.db"));
  const RunRow run = **store->LoadRun(), expected = ARun();
  EXPECT_EQ(
      std::tie(run.run_id, run.name, run.state, run.reason, run.config,
               run.base_model_digest, run.selection_seed, run.initial_adapter,
               run.auxiliary_targets, run.adapter, run.optimizer_state,
               run.committed_rounds, run.started, run.ended, run.server_seconds,
               run.server_peak_rss_bytes),
      std::tie(expected.run_id, expected.name, expected.state, expected.reason,
               expected.config, expected.base_model_digest,
               expected.selection_seed, expected.initial_adapter,
               expected.auxiliary_targets, expected.adapter,
               expected.optimizer_state, expected.committed_rounds,
               expected.started, expected.ended, expected.server_seconds,
               expected.server_peak_rss_bytes));
  const RoundRow round = store->LoadRounds()->at(0), round_expected = ARound();
  EXPECT_EQ(
      std::tie(round.number, round.attempt, round.draw, round.state,
               round.reason, round.interrupted, round.started, round.ended,
               round.adapter_before, round.adapter_after, round.epsilon,
               round.delta),
      std::tie(round_expected.number, round_expected.attempt,
               round_expected.draw, round_expected.state, round_expected.reason,
               round_expected.interrupted, round_expected.started,
               round_expected.ended, round_expected.adapter_before,
               round_expected.adapter_after, round_expected.epsilon,
               round_expected.delta));
  const ClientRow client = **store->LoadClient("c");
  EXPECT_EQ(client.joined, TimePoint(Duration(1)));
  EXPECT_EQ(client.joins, 2);
  EXPECT_EQ(client.trained_tokens, 3);
  EXPECT_EQ(client.train_seconds, 4.5);
  EXPECT_EQ(client.peak_rss_bytes, 6);
  EXPECT_EQ(client.bytes_downloaded, 7);
  EXPECT_EQ(client.bytes_uploaded, 8);
  EXPECT_EQ(client.bytes_downloaded_by_earlier, 9);
  EXPECT_EQ(client.bytes_uploaded_by_earlier, 10);
  const TaskRow task = **store->LoadTask("t");
  EXPECT_EQ(task.kind, proto::TRAIN);
  EXPECT_EQ(task.outcome, proto::NOT_FINITE);
  EXPECT_EQ(task.message, std::string("with\0zero", 9));
  EXPECT_EQ(task.train_loss, 0.25);
  EXPECT_EQ(store->LoadContributions(2, 3)->at(0),
            (ContributionRow{2, 3, "c", "u", 0.1, 0.2}));
  EXPECT_TRUE(std::isnan(store->LoadEvaluations(2, 3)->at(0).result.loss_nats));
  EXPECT_EQ(store->Load()->at(0).release_id, "r");
  EXPECT_THAT(store->SaveRun(ARun()), StatusIs(StatusCode::kPermissionDenied));
}

TEST(SqliteStateStore, AFailedTransactionLeavesNothing) {
  const TempFolder folder;
  TANDEM_ASSERT_OK_AND_ASSIGN(auto store,
                              SqliteStateStore::Open(folder / "state.db"));
  const Status status = store->Transact([&]() -> Status {
    TANDEM_RETURN_IF_ERROR(store->SaveRun(ARun()));
    return Internal("on second thoughts");
  });
  EXPECT_THAT(status, StatusIs(StatusCode::kInternal, "on second thoughts"));
  EXPECT_FALSE((*store->LoadRun()).has_value());
  EXPECT_THAT(store->SaveRun(ARun()), IsOk());
}

TEST(SqliteStateStore, AReleaseIsRecordedOnce) {
  const TempFolder folder;
  TANDEM_ASSERT_OK_AND_ASSIGN(auto store,
                              SqliteStateStore::Open(folder / "state.db"));
  ASSERT_THAT(store->Append({"r", 1, 1}), IsOk());
  EXPECT_THAT(store->Append({"r", 2, 1}), StatusIs(StatusCode::kAlreadyExists));
}

TEST(SqliteStateStore, OtherFilesAndVersionsAreRefused) {
  const TempFolder folder;
  const auto path = folder / "state.db";
  EXPECT_THAT(SqliteStateStore::OpenReadOnly(path),
              StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(SqliteStateStore::Open(folder / "no/such/folder.db"),
              StatusIs(StatusCode::kPermissionDenied));
  ASSERT_THAT(WriteFileAtomically(path, std::string(8192, 'x')), IsOk());
  EXPECT_THAT(SqliteStateStore::Open(path),
              StatusIs(StatusCode::kDataLoss, HasSubstr("state.db")));
  std::filesystem::remove(path);
  {
    TANDEM_ASSERT_OK_AND_ASSIGN(auto other, SqliteDatabase::OpenOrCreate(path));
    ASSERT_THAT(other.Execute("CREATE TABLE runs (a)"), IsOk());
  }
  EXPECT_THAT(SqliteStateStore::Open(path),
              StatusIs(StatusCode::kDataLoss, HasSubstr("not the state of a")));
  std::filesystem::remove(path);
  ASSERT_THAT(SqliteStateStore::Open(path), IsOk());
  {
    TANDEM_ASSERT_OK_AND_ASSIGN(auto newer, SqliteDatabase::OpenOrCreate(path));
    ASSERT_THAT(newer.Execute("PRAGMA user_version=99"), IsOk());
  }
  EXPECT_THAT(SqliteStateStore::Open(path),
              StatusIs(StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("version 99"), HasSubstr("version 2"))));
}

// A file system of 512 KiB, which only root may have.
class SmallDisk {
 public:
  explicit SmallDisk(const std::filesystem::path& folder) : folder_(folder) {
    std::filesystem::create_directory(folder_);
    mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=512k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  std::filesystem::path folder_;
  bool mounted_ = false;
};

TEST(SqliteStateStore, AFullDiskIsAStatusAndLosesNothing) {
  const TempFolder folder;
  const SmallDisk disk(folder / "disk");
  if (!disk.mounted()) GTEST_SKIP() << "mounting needs root";
  const auto path = folder / "disk/state.db";
  {
    TANDEM_ASSERT_OK_AND_ASSIGN(auto store, SqliteStateStore::Open(path));
    ASSERT_THAT(store->SaveRun(ARun()), IsOk());
    std::ofstream(folder / "disk/ballast") << std::string(300 * 1024, 'x');
    RunRow large = ARun();
    large.adapter = "changed";
    large.config = std::string(400 * 1024, 'y');
    EXPECT_THAT(store->SaveRun(large),
                StatusIs(StatusCode::kResourceExhausted, HasSubstr("full")));
    EXPECT_EQ((*store->LoadRun())->adapter, "a");
  }
  std::filesystem::remove(folder / "disk/ballast");
  TANDEM_ASSERT_OK_AND_ASSIGN(auto store, SqliteStateStore::Open(path));
  EXPECT_EQ((*store->LoadRun())->adapter, "a");
  EXPECT_THAT(store->SaveRun(ARun()), IsOk());
}

TEST(RoundState, NamesReadBack) {
  for (int i = 0; i < 8; ++i) {
    const auto state = static_cast<RoundState>(i);
    EXPECT_EQ(*ParseRoundState(NameOf(state)), state);
  }
  for (int i = 0; i < 4; ++i) {
    const auto state = static_cast<RunState>(i);
    EXPECT_EQ(*ParseRunState(NameOf(state)), state);
  }
  EXPECT_THAT(ParseRoundState("UNMASKING"), StatusIs(StatusCode::kDataLoss));
}

// The table of the design document, spelled out.
TEST(RoundState, OnlyLegalMovesAreMadeAndStored) {
  using enum RoundState;
  const std::map<RoundState, std::vector<RoundState>> legal = {
      {kSelecting, {kCollecting, kFailed, kAbandoned}},
      {kCollecting, {kAggregating, kFailed, kAbandoned}},
      {kAggregating, {kDistilling, kEvaluating, kFailed, kAbandoned}},
      {kDistilling, {kEvaluating, kFailed, kAbandoned}},
      {kEvaluating, {kCommitted, kFailed, kAbandoned}},
      {kCommitted, {}},
      {kFailed, {}},
      {kAbandoned, {}},
  };
  const TempFolder folder;
  TANDEM_ASSERT_OK_AND_ASSIGN(auto store,
                              SqliteStateStore::Open(folder / "state.db"));
  for (const auto& [from, targets] : legal) {
    for (int i = 0; i < 8; ++i) {
      const auto to = static_cast<RoundState>(i);
      RoundRow round = ARound();
      round.state = from;
      ASSERT_THAT(store->SaveRound(round), IsOk());
      const bool allowed =
          std::find(targets.begin(), targets.end(), to) != targets.end();
      EXPECT_EQ(ChangeRoundState(*store, round, to).ok(), allowed)
          << NameOf(from) << " to " << NameOf(to);
      const RoundState expected = allowed ? to : from;
      EXPECT_EQ(round.state, expected);
      EXPECT_EQ(store->LoadRounds()->at(0).state, expected);
    }
  }
}

TEST(RoundState, AFailureInTheSameTransactionUndoesTheMove) {
  const TempFolder folder;
  TANDEM_ASSERT_OK_AND_ASSIGN(auto store,
                              SqliteStateStore::Open(folder / "state.db"));
  RoundRow round = ARound();
  ASSERT_THAT(store->SaveRound(round), IsOk());
  EXPECT_THAT(ChangeRoundState(*store, round, RoundState::kCollecting,
                               [&](RoundRow& next) -> Status {
                                 next.reason = "changed";
                                 return Internal("no");
                               }),
              StatusIs(StatusCode::kInternal));
  EXPECT_EQ(round.state, RoundState::kSelecting);
  EXPECT_EQ(round.reason, "why");
  EXPECT_EQ(store->LoadRounds()->at(0).state, RoundState::kSelecting);
}

}  // namespace
}  // namespace tandem
