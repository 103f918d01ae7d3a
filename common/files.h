// Whole files: atomic replacement with fsync, reading, and read-only memory
// maps.
#ifndef TANDEM_COMMON_FILES_H_
#define TANDEM_COMMON_FILES_H_

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tandem {

// Writes a temporary file beside `path`, syncs it, renames it over `path` and
// syncs the folder: after a crash there is the old file or the new one, never a
// part. ResourceExhausted on a full disk, PermissionDenied, NotFound, Internal;
// the old file is then untouched and no temporary file is left.
Status WriteFileAtomically(const std::filesystem::path& path,
                           std::string_view bytes);

// The same for content that is made piece by piece, so that it never lies in
// memory whole: `write` calls its argument once per piece, in order. An error
// of `write` is returned, and the old file is untouched.
using AppendBytes = std::function<Status(std::string_view bytes)>;
Status WriteFileAtomically(
    const std::filesystem::path& path,
    const std::function<Status(const AppendBytes& append)>& write);

// Syncs `from` and renames it over `to`, then syncs the folder of `to`; by a
// copy where the two are on different file systems. On an error `from` is
// untouched, and so is what was at `to`. Errors are those of
// WriteFileAtomically.
Status MoveFileAtomically(const std::filesystem::path& from,
                          const std::filesystem::path& to);

// NotFound where there is no such file, else Internal with the system's reason.
StatusOr<std::string> ReadFile(const std::filesystem::path& path);

// Calls use(bytes) for all of the file, in order, a piece at a time: memory is
// bounded, which pages of a MappedFile are not. Errors of ReadFile.
Status ReadFileInPieces(const std::filesystem::path& path,
                        const std::function<void(std::string_view)>& use);

// A file mapped read-only. Copies share the mapping, which lives as long as the
// last of them.
class MappedFile {
 public:
  static StatusOr<MappedFile> Open(const std::filesystem::path& path);
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  // Keeps the mapping alive; hand it to whatever points into bytes().
  std::shared_ptr<const void> owner() const { return owner_; }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
};

// The status for errno after an operation on a path: "cannot write /x/y: No
// space left on device".
Status ErrnoStatus(int error_number, std::string_view operation,
                   const std::filesystem::path& path);

}  // namespace tandem

#endif  // TANDEM_COMMON_FILES_H_
