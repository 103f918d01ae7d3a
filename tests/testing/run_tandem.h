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

// REQUIRES: TANDEM_BINARY is defined as the path of the command.
inline CommandResult RunTandem(const std::vector<std::string>& arguments) {
  const TempFolder folder;
  std::string line = "OMP_NUM_THREADS=1 " + ShellQuoted(TANDEM_BINARY);
  for (const std::string& argument : arguments) {
    line += " " + ShellQuoted(argument);
  }
  line += " >" + ShellQuoted(folder / "out") + " 2>" +
          ShellQuoted(folder / "err") + " </dev/null";
  const int status = ::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          Contents(folder / "out"), Contents(folder / "err")};
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_RUN_TANDEM_H_
