// The command as a user runs it: a process of its own, its exit code and what
// it printed.
#ifndef TANDEM_TESTS_TESTING_RUN_TANDEM_H_
#define TANDEM_TESTS_TESTING_RUN_TANDEM_H_

#include <stdlib.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/testing/background_process.h"
#include "tests/testing/temp_folder.h"

namespace tandem::testing {

struct CommandResult {
  int code = -1;  // -1: ended by a signal
  std::string out;
  std::string err;
};

inline std::string ShellQuoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

inline std::string Contents(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << stream.rdbuf();
  return bytes.str();
}

// REQUIRES: TANDEM_BINARY is defined as the path of the command; so below.
inline std::vector<std::string> TandemCommand(
    std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), TANDEM_BINARY);
  return arguments;
}

inline CommandResult RunTandem(const std::vector<std::string>& arguments) {
  const TempFolder folder;
  std::string line = "OMP_NUM_THREADS=1";
  for (const std::string& word : TandemCommand(arguments)) {
    line += " " + ShellQuoted(word);
  }
  line += " >" + ShellQuoted(folder / "out") + " 2>" +
          ShellQuoted(folder / "err") + " </dev/null";
  const int status = ::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          Contents(folder / "out"), Contents(folder / "err")};
}

// `tandem ARGUMENTS` beside the test, in `folder`.
class BackgroundTandem : public BackgroundProcess {
 public:
  BackgroundTandem(const std::vector<std::string>& arguments,
                   const std::string& folder)
      : BackgroundProcess(TandemCommand(arguments), folder) {}
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_RUN_TANDEM_H_
