// The examples as programs, on tiny models: each does what its first comment
// says and ends well.
#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/testing/run_tandem.h"
#include "tests/testing/tiny_run_files.h"

namespace tandem {
namespace {

using testing::BackgroundProcess;
using testing::BackgroundTandem;
using ::testing::HasSubstr;
using testing::RunTandem;
using testing::TinyRunFiles;

std::string ExampleProgram(const std::string& name) {
  return std::string(TANDEM_PROGRAMS) + "/example_" + name;
}

TEST(ExamplesTest, InProcessFederationLeavesAFinishedRun) {
  const TinyRunFiles files;
  BackgroundProcess program({ExampleProgram("in_process_federation"), "model",
                             "a.jsonl", "b.jsonl", "run"},
                            files.folder());
  ASSERT_EQ(program.Wait(), 0) << program.text();
  EXPECT_THAT(program.text(), HasSubstr("round 2: COMMITTED"));
  EXPECT_THAT(RunTandem({"run", "show", "--state", files.path("run")}).out,
              HasSubstr("FINISHED"));
}

TEST(ExamplesTest, OfflineDistillationLeavesAnAdapter) {
  const TinyRunFiles files;
  BackgroundProcess program({ExampleProgram("offline_distillation"), "model",
                             "model", "aux.jsonl", "out", "2"},
                            files.folder());
  ASSERT_EQ(program.Wait(), 0) << program.text();
  EXPECT_THAT(program.text(), HasSubstr("step 2 of 2"));
  EXPECT_TRUE(std::filesystem::exists(
      files.path("out/adapter/adapter_model.safetensors")));
}

TEST(ExamplesTest, EmbeddedClientTakesPartInARun) {
  const TinyRunFiles files;
  BackgroundTandem server(
      {"server", "--config", "/dev/null", "--set", "run.directory=run", "--set",
       "listen.address=127.0.0.1:0", "--set", "model.student=model", "--set",
       "rounds.count=1", "--set", "rounds.min_clients=1", "--set",
       "training.steps=2", "--set", "distillation.enabled=false"},
      files.folder());
  const std::string address = server.WaitForLine("listening on ");
  BackgroundProcess client(
      {ExampleProgram("embedded_client"), address, "model", "a.jsonl"},
      files.folder());
  client.WaitForLine("joined run ");
  client.WaitForLine("round 1: ACCEPTED");
  client.WaitForLine("FINISHED after ");
  client.CloseInput();
  EXPECT_EQ(client.Wait(), 0) << client.text();
  EXPECT_EQ(server.Wait(), 0) << server.text();
}

}  // namespace
}  // namespace tandem
