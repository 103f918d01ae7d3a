#include "client/object_cache.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "common/files.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// A file that only grows at its end.
class AppendFile {
 public:
  static StatusOr<AppendFile> Open(const fs::path& path) {
    const int fd =
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoStatus(errno, "open", path);
    return AppendFile(fd, path);
  }
  AppendFile(AppendFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  ~AppendFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  StatusOr<int64_t> Size() const {
    const off_t end = ::lseek(fd_, 0, SEEK_END);
    if (end < 0) return ErrnoStatus(errno, "measure", path_);
    return static_cast<int64_t>(end);
  }
  Status Append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus(errno, "write", path_);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return OkStatus();
  }
  Status Sync() {
    if (::fsync(fd_) != 0) return ErrnoStatus(errno, "sync", path_);
    return OkStatus();
  }

 private:
  AppendFile(int fd, fs::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  fs::path path_;
};

bool IsOwnerName(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

Status CheckChunk(const proto::ObjectRef& object, int64_t offset,
                  const proto::GetObjectResponse& response) {
  if (response.size_bytes() != object.size_bytes()) {
    return DataLoss("object {}: the server says {} bytes, the task {}",
                    object.sha256(), response.size_bytes(),
                    object.size_bytes());
  }
  const auto got = static_cast<int64_t>(response.chunk().size());
  if (got == 0 || got > object.size_bytes() - offset) {
    return DataLoss("object {}: a chunk of {} bytes at {} of {}",
                    object.sha256(), got, offset, object.size_bytes());
  }
  return OkStatus();
}

// True where `path` holds exactly the object.
bool Holds(const fs::path& path, const proto::ObjectRef& object) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error || size != static_cast<uintmax_t>(object.size_bytes())) {
    return false;
  }
  const auto digest = Sha256HexOfFile(path);
  return digest.ok() && *digest == object.sha256();
}

}  // namespace

StatusOr<ObjectCache> ObjectCache::Open(const fs::path& folder,
                                        const std::string& owner,
                                        int64_t max_bytes) {
  if (!IsOwnerName(owner)) {
    return InvalidArgument(
        "client id '{}': expected letters, digits, '-' and '_'", owner);
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "create folder", folder);
  return ObjectCache(folder, owner, max_bytes);
}

StatusOr<fs::path> ObjectCache::Fetch(const proto::ObjectRef& object,
                                      const ChunkSource& source) {
  if (!IsSha256Hex(object.sha256()) || object.size_bytes() < 0) {
    return InvalidArgument("not an object: sha256 '{}', {} bytes",
                           object.sha256(), object.size_bytes());
  }
  if (object.size_bytes() > max_bytes_) {
    return ResourceExhausted("object {} has {} bytes, the cache in {} takes {}",
                             object.sha256(), object.size_bytes(),
                             folder_.string(), max_bytes_);
  }
  const fs::path path = folder_ / object.sha256();
  std::error_code ignored;
  if (Holds(path, object)) {
    fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
    return path;
  }
  fs::remove(path, ignored);  // a file that has rotted
  Status status = Download(object, source);
  if (status.code() == StatusCode::kDataLoss) {
    spdlog::warn("{}; downloading it once more", ToString(status));
    status = Download(object, source);
  }
  TANDEM_RETURN_IF_ERROR(status);
  EvictAllBut(object.sha256());
  return path;
}

// One attempt: the rest of the partial file, the digest, the final name. A
// partial file that cannot become the object is removed.
Status ObjectCache::Download(const proto::ObjectRef& object,
                             const ChunkSource& source) {
  const fs::path part =
      folder_ / fmt::format("{}.{}.part", object.sha256(), owner_);
  TANDEM_ASSIGN_OR_RETURN(AppendFile file, AppendFile::Open(part));
  TANDEM_ASSIGN_OR_RETURN(int64_t size, file.Size());
  while (size < object.size_bytes()) {
    TANDEM_ASSIGN_OR_RETURN(const proto::GetObjectResponse response,
                            source(size));
    TANDEM_RETURN_IF_ERROR(CheckChunk(object, size, response));
    TANDEM_RETURN_IF_ERROR(file.Append(response.chunk()));
    size += static_cast<int64_t>(response.chunk().size());
  }
  TANDEM_RETURN_IF_ERROR(file.Sync());
  std::error_code error;
  if (!Holds(part, object)) {
    fs::remove(part, error);
    return DataLoss("object {}: the downloaded bytes have another digest",
                    object.sha256());
  }
  fs::rename(part, folder_ / object.sha256(), error);
  if (error) return ErrnoStatus(error.value(), "rename", part);
  return OkStatus();
}

void ObjectCache::EvictAllBut(const std::string& name) {
  struct Entry {
    fs::path path;
    int64_t bytes;
    fs::file_time_type used;
  };
  std::vector<Entry> entries;
  int64_t total = 0;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(folder_, error)) {
    const auto bytes = static_cast<int64_t>(item.file_size(error));
    if (error) continue;  // gone meanwhile, or not a file
    total += bytes;
    // Only files of the cache's own making may go.
    const std::string file = item.path().filename().string();
    if (file == name || !IsSha256Hex(file.substr(0, 64))) continue;
    entries.push_back({item.path(), bytes, item.last_write_time(error)});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (total <= max_bytes_) return;
    if (fs::remove(entry.path, error)) total -= entry.bytes;
  }
}

}  // namespace tandem
