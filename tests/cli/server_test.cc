// A server and its clients as processes of their own, over gRPC: a server that
// is killed goes on with its run, and one without a port does not begin.
#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/sqlite_state_store.h"
#include "tests/testing/run_tandem.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_run_files.h"

namespace tandem::cli {
namespace {

using ::tandem::testing::BackgroundTandem;
using ::tandem::testing::CommandResult;
using ::tandem::testing::RunTandem;
using ::tandem::testing::TinyRunFiles;
using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

// So many that the first server cannot be through before it is killed.
constexpr int kRounds = 10;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    std::ofstream(path("server.yaml")) << fmt::format(
        R"(run: {{directory: {0}/run}}
listen: {{address: "127.0.0.1:0"}}
model: {{student: {0}/model, compute_dtype: fp32, threads: 1}}
lora: {{rank: 2, alpha: 4}}
rounds: {{count: {1}, min_clients: 2, quorum: 2}}
training: {{steps: 4, batch_size: 2}}
distillation: {{enabled: false}}
)",
        files_.folder(), kRounds);
  }

  std::string path(const std::string& name) const { return files_.path(name); }

  // On `address`, or on that of the configuration.
  Words ServerWords(const std::string& address = "127.0.0.1:0") const {
    return {"server", "--config", path("server.yaml"), "--set",
            "listen.address=" + address};
  }
  std::unique_ptr<BackgroundTandem> StartServer(
      const std::string& address = "127.0.0.1:0") const {
    return std::make_unique<BackgroundTandem>(ServerWords(address),
                                              files_.folder());
  }

  // Client `name` trains on NAME.jsonl.
  std::unique_ptr<BackgroundTandem> StartClient(
      const std::string& name, const std::string& address) const {
    std::ofstream(path(name + ".yaml")) << fmt::format(
        R"(client_id: {1}
server: {2}
model: {0}/model
compute_dtype: fp32
threads: 1
cache_directory: {0}/cache-{1}
data: {{train: {0}/{1}.jsonl}}
connection: {{min_retry_seconds: 0.02, max_retry_seconds: 0.1}}
)",
        files_.folder(), name, address);
    return std::make_unique<BackgroundTandem>(
        Words{"client", "--config", path(name + ".yaml")}, files_.folder());
  }

  nlohmann::json Show() const {
    return nlohmann::json::parse(
        RunTandem({"run", "show", "--state", path("run"), "--json"}).out,
        nullptr, false);
  }

  // How many attempts at each round were committed.
  std::map<int64_t, int> Commits() const {
    std::map<int64_t, int> commits;
    const auto store =
        SqliteStateStore::OpenReadOnly(path("run") + "/state.db");
    const auto rounds = (*store)->LoadRounds();
    for (const RoundRow& round : *rounds) {
      commits[round.number] += round.state == RoundState::kCommitted;
    }
    return commits;
  }

  const TinyRunFiles files_;
};

std::map<int64_t, int> EachRoundOnce() {
  std::map<int64_t, int> once;
  for (int round = 1; round <= kRounds; ++round) once[round] = 1;
  return once;
}

TEST_F(ServerTest, KilledAndStartedAgainFinishesTheRun) {
  const auto first = StartServer();
  const std::string address = first->WaitForLine("listening on ");
  const auto a = StartClient("a", address), b = StartClient("b", address);
  first->WaitForLine("round 1: COMMITTED");
  first->Kill();
  EXPECT_EQ(Show()["state"], "RUNNING");

  const auto second = StartServer(address);
  EXPECT_EQ(second->Wait(), 0) << second->text();
  EXPECT_EQ(a->Wait(), 0) << a->text();
  EXPECT_EQ(b->Wait(), 0) << b->text();
  EXPECT_THAT(second->text(), Not(HasSubstr("round 1: ")));
  EXPECT_EQ(Show()["state"], "FINISHED");
  EXPECT_EQ(Commits(), EachRoundOnce());

  // Once more: nothing is left to do but to report.
  Words words = ServerWords();
  words.push_back("--json");
  EXPECT_EQ(nlohmann::json::parse(RunTandem(words).out, nullptr, false),
            Show());
}

TEST_F(ServerTest, PortInUseFailsBeforeTheModelIsRead) {
  const auto first = StartServer();
  const std::string address = first->WaitForLine("listening on ");
  std::filesystem::rename(path("model"), path("unreadable"));
  const CommandResult second = RunTandem(ServerWords(address));
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.err, HasSubstr("cannot listen on " + address +
                                    ": Address already in use"));
}

}  // namespace
}  // namespace tandem::cli
