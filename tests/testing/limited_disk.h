// A disk that is really full, for tests of what is kept when it is.
#ifndef TANDEM_TESTS_TESTING_LIMITED_DISK_H_
#define TANDEM_TESTS_TESTING_LIMITED_DISK_H_

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace tandem::testing {

// Runs `body`, with its EXPECTs, in a process of its own, which limits and
// mounts leave alone the rest of the tests.
inline void InChildProcess(const std::function<void()>& body) {
  ::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    body();
    ::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
      << "the child process failed with wait status " << status;
}

// From here on no file may grow past `bytes`: write() stores what still fits,
// then fails with EFBIG. 0 lifts the limit. Needs no privilege.
inline void LimitFileSize(size_t bytes) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
}

// A user namespace in which this process, an ordinary user's, is root: without
// the map it could not even create a file.
inline bool EnterUserNamespace() {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
  std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
  return ::geteuid() == 0;
}

// Mounts a file system of `kibibytes` on `folder`, seen by this process alone.
// False where the machine does not let unprivileged processes do that.
inline bool MountSmallDisk(const std::filesystem::path& folder, int kibibytes) {
  if (::unshare(CLONE_NEWNS) != 0 && !EnterUserNamespace()) return false;
  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  const std::string options = "size=" + std::to_string(kibibytes) + "k";
  return ::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

// Makes room on a disk of MountSmallDisk; what it holds stays.
inline bool GrowSmallDisk(const std::filesystem::path& folder, int kibibytes) {
  const std::string options = "size=" + std::to_string(kibibytes) + "k";
  return ::mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT,
                 options.c_str()) == 0;
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_LIMITED_DISK_H_
