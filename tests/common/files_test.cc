#include "common/files.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

size_t FilesIn(const std::filesystem::path& folder) {
  return static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(WriteFileAtomically, ReplacesTheWholeFileAndLeavesNoTemporary) {
  testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "a", "a longer first text"), IsOk());
  ASSERT_THAT(WriteFileAtomically(folder / "a", std::string("x\0y", 3)),
              IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(folder / "a"));
  EXPECT_EQ(bytes, std::string("x\0y", 3));
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(WriteFileAtomically, MissingFolderIsNotFoundAndNamed) {
  testing::TempFolder folder;
  EXPECT_THAT(WriteFileAtomically(folder / "none/a", "x"),
              StatusIs(StatusCode::kNotFound, HasSubstr("none/a")));
}

// In a child process whose files may hold 4 KiB, as on a full disk.
TEST(WriteFileAtomically, FullDiskKeepsTheOldFile) {
  testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "a", "old"), IsOk());
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Status status =
        WriteFileAtomically(folder / "a", std::string(100'000, 'n'));
    ::_exit(status.code() == StatusCode::kResourceExhausted ? 0 : 1);
  }
  int exit_status = 0;
  ASSERT_EQ(::waitpid(child, &exit_status, 0), child);
  EXPECT_EQ(exit_status, 0);
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(folder / "a"));
  EXPECT_EQ(bytes, "old");
  EXPECT_EQ(FilesIn(folder.path()), 1u);
}

TEST(ReadFile, MissingFileIsNotFound) {
  EXPECT_THAT(ReadFile("/nowhere/at/all"), StatusIs(StatusCode::kNotFound));
}

TEST(MappedFile, SharesItsBytesWithCopies) {
  testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "a", "mapped"), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(auto first, MappedFile::Open(folder / "a"));
  const MappedFile copy = first;
  first = MappedFile();
  EXPECT_EQ(copy.text(), "mapped");
}

TEST(MappedFile, EmptyFileHasNoBytes) {
  testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "a", ""), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(folder / "a"));
  EXPECT_TRUE(file.bytes().empty());
}

TEST(MappedFile, RefusesAFolder) {
  testing::TempFolder folder;
  EXPECT_THAT(MappedFile::Open(folder.path()),
              StatusIs(StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tandem
