#include "common/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace tandem {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int Close() {
    const int result = fd_ >= 0 ? ::close(fd_) : 0;
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

StatusCode CodeOfErrno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return StatusCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return StatusCode::kResourceExhausted;
    default:
      return StatusCode::kInternal;
  }
}

Status WriteAll(int fd, std::string_view bytes,
                const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return OkStatus();
}

Status WriteAndSync(
    const std::filesystem::path& path,
    const std::function<Status(const AppendBytes& append)>& write) {
  FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.ok()) return ErrnoStatus(errno, "create", path);
  TANDEM_RETURN_IF_ERROR(write([&](std::string_view bytes) {
    return WriteAll(file.get(), bytes, path);
  }));
  if (::fsync(file.get()) != 0) return ErrnoStatus(errno, "sync", path);
  if (file.Close() != 0) return ErrnoStatus(errno, "close", path);
  return OkStatus();
}

Status SyncFolder(const std::filesystem::path& folder) {
  FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus(errno, "open", folder);
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "sync", folder);
  return OkStatus();
}

std::filesystem::path FolderOf(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

// Unique among the threads of this process and among processes.
std::filesystem::path TemporaryName(const std::filesystem::path& path) {
  static std::atomic<uint64_t> counter{0};
  return fmt::format("{}.tmp-{}-{}", path.string(), ::getpid(), counter++);
}

}  // namespace

Status ErrnoStatus(int error_number, std::string_view operation,
                   const std::filesystem::path& path) {
  return Status(CodeOfErrno(error_number),
                fmt::format("cannot {} {}: {}", operation, path.string(),
                            std::strerror(error_number)));
}

Status WriteFileAtomically(const std::filesystem::path& path,
                           std::string_view bytes) {
  return WriteFileAtomically(
      path, [bytes](const AppendBytes& append) { return append(bytes); });
}

Status WriteFileAtomically(
    const std::filesystem::path& path,
    const std::function<Status(const AppendBytes& append)>& write) {
  const std::filesystem::path temporary = TemporaryName(path);
  if (Status status = WriteAndSync(temporary, write); !status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const Status status = ErrnoStatus(errno, "replace", path);
    ::unlink(temporary.c_str());
    return status;
  }
  return SyncFolder(FolderOf(path));
}

Status MoveFileAtomically(const std::filesystem::path& from,
                          const std::filesystem::path& to) {
  FileDescriptor file(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) return ErrnoStatus(errno, "open", from);
  if (::fsync(file.get()) != 0) return ErrnoStatus(errno, "sync", from);
  if (::rename(from.c_str(), to.c_str()) == 0) return SyncFolder(FolderOf(to));
  if (errno != EXDEV) return ErrnoStatus(errno, "replace", to);
  TANDEM_ASSIGN_OR_RETURN(const MappedFile bytes, MappedFile::Open(from));
  TANDEM_RETURN_IF_ERROR(WriteFileAtomically(to, bytes.text()));
  return ::unlink(from.c_str()) == 0 ? OkStatus()
                                     : ErrnoStatus(errno, "remove", from);
}

Status ReadFileInPieces(const std::filesystem::path& path,
                        const std::function<void(std::string_view)>& use) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) return ErrnoStatus(errno, "open", path);
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = ::read(file.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read", path);
    if (got == 0) return OkStatus();
    use({buffer, static_cast<size_t>(got)});
  }
}

StatusOr<std::string> ReadFile(const std::filesystem::path& path) {
  std::string bytes;
  TANDEM_RETURN_IF_ERROR(ReadFileInPieces(
      path, [&bytes](std::string_view piece) { bytes += piece; }));
  return bytes;
}

StatusOr<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus(errno, "open", path);
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) {
    return InvalidArgument("cannot map {}: not a regular file", path.string());
  }
  MappedFile file;
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return file;  // mmap refuses empty maps
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "map", path);
  file.owner_ = std::shared_ptr<const void>(
      data, [size](const void* p) { ::munmap(const_cast<void*>(p), size); });
  file.bytes_ = {static_cast<const std::byte*>(data), size};
  return file;
}

}  // namespace tandem
