// The command `tandem`. Exit codes: 0 done, 1 failed, 2 wrong usage.
#include <iostream>
#include <string>

#include "cli/command.h"
#include "common/log.h"
#include "common/status.h"

namespace tandem::cli {
namespace {

constexpr char kModel[] = "data/models/SmolLM2-135M-Instruct.Q4_1.gguf";

void AddGroups(CLI::App& app, Chosen& chosen) {
  CLI::App* model =
      AddGroup(app, "model", "Look at and change models",
               fmt::format("tandem model info --model {}", kModel));
  AddModelInfo(*model, chosen);
  AddModelPrune(*model, chosen);
  AddModelTokenize(*model, chosen);
  AddModelLogits(*model, chosen);
  AddDataDictionary(
      *AddGroup(app, "data", "Prepare data sets",
                "tandem data dictionary --input data/dict --name jargon "
                "--out data/quickstart"),
      chosen);
  AddPrivacyEpsilon(*AddGroup(app, "privacy", "Privacy accounting",
                              "tandem privacy epsilon --noise-multiplier 1.1 "
                              "--sampling-rate 0.01 --steps 1000 --delta 1e-5"),
                    chosen);
  CLI::App* run = AddGroup(app, "run", "Look at runs and their rounds",
                           "tandem run list --state runs");
  AddRunList(*run, chosen);
  AddRunShow(*run, chosen);
}

void AddCommands(CLI::App& app, Chosen& chosen) {
  AddServer(app, chosen);
  AddClient(app, chosen);
  AddSimulate(app, chosen);
  AddTrain(app, chosen);
  AddEval(app, chosen);
  AddGenerate(app, chosen);
  AddDistill(app, chosen);
  AddExport(app, chosen);
  AddGroups(app, chosen);
}

// "tandem model info", as far as the arguments led.
std::string DeepestCommand(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    name += " " + at->get_name();
  }
  return name;
}

int Fail(const std::string& message, int code) {
  std::cerr << "tandem: " << message << '\n';
  return code;
}

int Parse(CLI::App& app, int argc, char** argv, bool& done) {
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& help_or_version) {
    done = true;
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    done = true;
    return Fail(
        fmt::format("{}\n  see: {} --help", error.what(), DeepestCommand(app)),
        2);
  }
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Federated distillation and LoRA fine-tuning of small language models.",
      "tandem");
  Chosen chosen;
  std::string log_level = "info";
  app.set_version_flag("--version", "tandem " TANDEM_VERSION);
  app.add_option("--log-level", log_level,
                 "Messages on standard error; configuration files of server "
                 "and client have their own")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  app.footer("Example:\n  tandem generate --model " + std::string(kModel) +
             " --prompt 'What is a compiler?'");
  app.require_subcommand(1);
  AddCommands(app, chosen);

  bool done = false;
  const int code = Parse(app, argc, argv, done);
  if (done) return code;
  Status status = InitLogging(log_level, "");
  if (status.ok()) {
    status = CatchExceptions(DeepestCommand(app), chosen);
  }
  if (status.ok()) status = FlushOutput();
  return status.ok() ? 0 : Fail(ToString(status), 1);
}

}  // namespace
}  // namespace tandem::cli

int main(int argc, char** argv) { return tandem::cli::Main(argc, argv); }
