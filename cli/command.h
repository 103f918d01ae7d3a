// What all subcommands share: how they are registered and how they print.
#ifndef TANDEM_CLI_COMMAND_H_
#define TANDEM_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/status.h"

namespace tandem::cli {

using Json = nlohmann::ordered_json;

// The body of the subcommand that was asked for. Parsing only fills it in; the
// main program runs it, so that errors of use and errors of work stay apart.
using Chosen = std::function<Status()>;

// Adds the subcommand `name` to `parent`. `example` ends its help.
CLI::App* AddGroup(CLI::App& parent, const std::string& name,
                   const std::string& description, const std::string& example);
CLI::App* AddCommand(CLI::App& parent, const std::string& name,
                     const std::string& description, const std::string& example,
                     Chosen& chosen, std::function<Status()> body);

// --set, any number of times: "a.b.c=value" (common/config_reader.h).
void AddOverrides(CLI::App& command, std::vector<std::string>& overrides);

// --json, for commands that have another output too.
void AddJsonFlag(CLI::App& command, bool& json);
// --json where the output is JSON in any case; scripts may say so.
void AddJsonFlagWithoutEffect(CLI::App& command);

// A number within [minimum, maximum]; CLI::Range lets NaN through.
CLI::Validator NumberWithin(double minimum, double maximum);

// To standard output; text that is not UTF-8 is printed with U+FFFD.
void PrintJson(const Json& json);
void PrintLine(const std::string& line);

// Threads of OpenMP and LibTorch; 0 leaves them as they are.
void SetThreads(int threads);

// Standard output is flushed; an error where some of it could not be written.
Status FlushOutput();

// One function per subcommand, each in a file of that name.
void AddServer(CLI::App& app, Chosen& chosen);
void AddClient(CLI::App& app, Chosen& chosen);
void AddSimulate(CLI::App& app, Chosen& chosen);
void AddTrain(CLI::App& app, Chosen& chosen);
void AddEval(CLI::App& app, Chosen& chosen);
void AddGenerate(CLI::App& app, Chosen& chosen);
void AddDistill(CLI::App& app, Chosen& chosen);
void AddExport(CLI::App& app, Chosen& chosen);
void AddModelInfo(CLI::App& model, Chosen& chosen);
void AddModelPrune(CLI::App& model, Chosen& chosen);
void AddModelTokenize(CLI::App& model, Chosen& chosen);
void AddModelLogits(CLI::App& model, Chosen& chosen);
void AddDataDictionary(CLI::App& data, Chosen& chosen);
void AddPrivacyEpsilon(CLI::App& privacy, Chosen& chosen);
void AddRunList(CLI::App& run, Chosen& chosen);
void AddRunShow(CLI::App& run, Chosen& chosen);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_COMMAND_H_
