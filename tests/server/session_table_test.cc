#include "server/session_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using testing::IsOk;
using testing::StatusIs;

const TimePoint kStart(Seconds(1000));

std::vector<std::string> PresentIds(const SessionTable& table, TimePoint now) {
  std::vector<std::string> ids;
  for (const auto& client : table.Present(now)) ids.push_back(client.client_id);
  return ids;
}

TEST(SessionTable, PresentUntilSilentForTheTimeout) {
  SessionTable table(10, Seconds(60));
  ASSERT_THAT(table.Open("b", true, kStart), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::string session,
                              table.Open("a", false, kStart));
  EXPECT_THAT(PresentIds(table, kStart + Seconds(59)),
              ::testing::ElementsAre("a", "b"));
  EXPECT_EQ(*table.Touch(session, kStart + Seconds(30)), "a");
  EXPECT_THAT(PresentIds(table, kStart + Seconds(60)),
              ::testing::ElementsAre("a"));
  EXPECT_EQ(table.SilentAt("a", kStart), kStart + Seconds(90));
  table.SetHeld("a", true, kStart + Seconds(30));
  EXPECT_THAT(PresentIds(table, kStart + Seconds(600)),
              ::testing::ElementsAre("a"));
  EXPECT_EQ(table.SilentAt("a", kStart), std::nullopt);
  table.SetHeld("a", false, kStart + Seconds(600));
  EXPECT_EQ(table.SilentAt("a", kStart), kStart + Seconds(660));
}

TEST(SessionTable, TokensDifferAndOldOnesEnd) {
  SessionTable table(10, Seconds(60));
  std::set<std::string> tokens;
  for (int i = 0; i < 100; ++i) tokens.insert(*table.Open("a", false, kStart));
  EXPECT_EQ(tokens.size(), 100u);
  int valid = 0;
  for (const auto& token : tokens) valid += table.Touch(token, kStart).ok();
  EXPECT_EQ(valid, 1);
}

TEST(SessionTable, AbsentClientsMakeRoom) {
  SessionTable table(2, Seconds(60));
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::string first,
                              table.Open("a", false, kStart));
  ASSERT_THAT(table.Open("b", false, kStart + Seconds(50)), IsOk());
  EXPECT_THAT(table.Open("c", false, kStart + Seconds(50)),
              StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(table.Open("b", false, kStart + Seconds(50)), IsOk());
  EXPECT_THAT(table.Open("c", false, kStart + Seconds(60)), IsOk());
  EXPECT_THAT(table.Touch(first, kStart + Seconds(60)),
              StatusIs(StatusCode::kUnauthenticated));
}

}  // namespace
}  // namespace tandem
