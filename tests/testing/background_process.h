// A program that runs beside the test, which reads what it prints, kills it or
// waits for its end.
#ifndef TANDEM_TESTS_TESTING_BACKGROUND_PROCESS_H_
#define TANDEM_TESTS_TESTING_BACKGROUND_PROCESS_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

namespace tandem::testing {

// Standard output and standard error are one stream, read only while the test
// waits for it: a pipe (64 KiB) holds the rest. Silence for a minute fails the
// test. Killed with this object.
class BackgroundProcess {
 public:
  // `words`: the program, then its arguments. It runs in `folder`.
  BackgroundProcess(std::vector<std::string> words, const std::string& folder) {
    int in[2], out[2];
    // Closed on exec: no other process keeps these pipes open.
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) {
      ADD_FAILURE() << "pipe2 failed";
      return;
    }
    input_ = in[1];
    output_ = out[0];
    Spawn(std::move(words), folder, in[0], out[1]);
    ::close(in[0]);
    ::close(out[1]);
  }
  ~BackgroundProcess() {
    Kill();
    Reap();
    CloseInput();
    if (output_ >= 0) ::close(output_);
  }
  BackgroundProcess(const BackgroundProcess&) = delete;
  BackgroundProcess& operator=(const BackgroundProcess&) = delete;

  // All that was read so far.
  const std::string& text() const { return text_; }

  // What follows `part` in the first line that has it and was not waited for
  // before. Empty, and a failure, where no such line comes.
  std::string WaitForLine(const std::string& part) {
    std::string line;
    while (NextLine(line)) {
      const size_t found = line.find(part);
      if (found != std::string::npos) return line.substr(found + part.size());
    }
    ADD_FAILURE() << "no line with '" << part << "' in:\n" << text_;
    return "";
  }

  // The end of its standard input.
  void CloseInput() {
    if (input_ >= 0) ::close(input_);
    input_ = -1;
  }

  // SIGKILL, and gone when this returns.
  void Kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    Reap();
  }

  // Its exit code once it has ended; -1: ended by a signal, or not in time.
  int Wait() {
    while (ReadMore()) {
    }
    if (!ended_) Kill();
    Reap();
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }

 private:
  static constexpr int kPatienceMilliseconds = 60'000;

  void Spawn(std::vector<std::string> words, const std::string& folder,
             int input, int output) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    const int error = ::posix_spawn(&pid_, arguments[0], &actions, nullptr,
                                    arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(error, 0) << words[0];
    if (error != 0) pid_ = -1;
  }

  // False at the end of the output, and after a minute of silence.
  bool ReadMore() {
    pollfd ready{output_, POLLIN, 0};
    if (::poll(&ready, 1, kPatienceMilliseconds) != 1) return false;
    char buffer[4096];
    const ssize_t got = ::read(output_, buffer, sizeof(buffer));
    ended_ = got <= 0;
    if (!ended_) text_.append(buffer, static_cast<size_t>(got));
    return !ended_;
  }

  bool NextLine(std::string& line) {
    size_t end;
    while ((end = text_.find('\n', seen_)) == std::string::npos) {
      if (!ReadMore()) return false;
    }
    line = text_.substr(seen_, end - seen_);
    seen_ = end + 1;
    return true;
  }

  void Reap() {
    if (pid_ > 0) ::waitpid(pid_, &status_, 0);
    pid_ = -1;
  }

  pid_t pid_ = -1;
  int input_ = -1, output_ = -1;
  int status_ = -1;     // of waitpid
  bool ended_ = false;  // its output has
  std::string text_;
  size_t seen_ = 0;  // characters of text_ in lines that were looked at
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_BACKGROUND_PROCESS_H_
