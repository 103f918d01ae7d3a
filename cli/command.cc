#include "cli/command.h"

#include <ATen/Parallel.h>

#include <iostream>
#include <utility>

namespace tandem::cli {

CLI::App* AddGroup(CLI::App& parent, const std::string& name,
                   const std::string& description, const std::string& example) {
  CLI::App* group = parent.add_subcommand(name, description);
  group->footer("Example:\n  " + example);
  group->require_subcommand(1);
  return group;
}

CLI::App* AddCommand(CLI::App& parent, const std::string& name,
                     const std::string& description, const std::string& example,
                     Chosen& chosen, std::function<Status()> body) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->footer("Example:\n  " + example);
  command->callback(
      [&chosen, body = std::move(body)]() mutable { chosen = body; });
  return command;
}

void AddOverrides(CLI::App& command, std::vector<std::string>& overrides) {
  command
      .add_option("--set", overrides,
                  "A field of the configuration, as rounds.count=10; may be "
                  "given many times")
      ->take_all()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void AddJsonFlag(CLI::App& command, bool& json) {
  command.add_flag("--json", json, "Machine-readable output");
}

void AddJsonFlagWithoutEffect(CLI::App& command) {
  const std::string description = "Machine-readable output, as always";
  command.add_flag("--json", description);
}

CLI::Validator NumberWithin(double minimum, double maximum) {
  const std::string range =
      fmt::format("NUMBER in [{} - {}]", minimum, maximum);
  return CLI::Validator(
      [=](const std::string& text) {
        double value = 0;
        const bool is_number = CLI::detail::lexical_cast(text, value);
        return is_number && value >= minimum && value <= maximum
                   ? std::string()
                   : fmt::format("'{}' is not a {}", text, range);
      },
      range);
}

void PrintJson(const Json& json) {
  std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void PrintLine(const std::string& line) { std::cout << line << '\n'; }

void SetThreads(int threads) {
  if (threads > 0) at::set_num_threads(threads);
}

Status FlushOutput() {
  std::cout.flush();
  return std::cout ? OkStatus()
                   : Internal("standard output could not be written");
}

}  // namespace tandem::cli
