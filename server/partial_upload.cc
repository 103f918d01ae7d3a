#include "server/partial_upload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/files.h"

namespace tandem {

StatusOr<PartialUpload> PartialUpload::Open(const std::filesystem::path& path) {
  const int fd =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "open", path);
  PartialUpload upload(path, fd);
  struct stat info;
  if (::fstat(fd, &info) != 0) return ErrnoStatus(errno, "stat", path);
  upload.size_ = info.st_size;
  return upload;
}

PartialUpload::~PartialUpload() {
  if (fd_ >= 0) ::close(fd_);
}

Status PartialUpload::Append(std::string_view bytes) {
  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t written = ::write(fd_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const Status status = ErrnoStatus(errno, "write", path_);
      TANDEM_RETURN_IF_ERROR(Truncate(size_));
      return status;
    }
    left.remove_prefix(static_cast<size_t>(written));
  }
  size_ += static_cast<int64_t>(bytes.size());
  return OkStatus();
}

Status PartialUpload::Truncate(int64_t size) {
  if (::ftruncate(fd_, size) != 0) {
    return ErrnoStatus(errno, "truncate", path_);
  }
  size_ = size;
  return OkStatus();
}

}  // namespace tandem
