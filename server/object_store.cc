#include "server/object_store.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <system_error>
#include <utility>

#include "common/digest.h"
#include "server/partial_upload.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

Status CheckDigest(const std::string& sha256) {
  if (IsSha256Hex(sha256)) return OkStatus();
  return InvalidArgument(
      "'{}' is not an object's name, expected 64 lower-case hexadecimal digits",
      sha256.substr(0, 80));
}

Status NoSuchObject(const std::string& sha256) {
  return NotFound("there is no object {}", sha256);
}

proto::ObjectRef MakeRef(std::string sha256, int64_t size_bytes) {
  proto::ObjectRef ref;
  ref.set_sha256(std::move(sha256));
  ref.set_size_bytes(size_bytes);
  return ref;
}

constexpr auto kStaleAfter = std::chrono::hours(1);
constexpr std::string_view kPartSuffix = ".part";

// Temporary files of processes that were killed while they wrote, and uploads
// that their clients gave up. An hour leaves alone what another process may be
// writing at this moment, and what a client goes on with after a restart.
void RemoveStaleFiles(const fs::path& folder) {
  const auto stale = fs::file_time_type::clock::now() - kStaleAfter;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool unfinished =
        name.find(".tmp-") != std::string::npos || name.ends_with(kPartSuffix);
    if (!unfinished) continue;
    std::error_code ignored;
    const auto written = entry.last_write_time(ignored);
    if (!ignored && written < stale) fs::remove(entry.path(), ignored);
  }
}

Status RemoveFile(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);  // a file that is not there is no error
  return error ? ErrnoStatus(error.value(), "remove", path) : OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<FileObjectStore>> FileObjectStore::Open(
    const fs::path& folder, int64_t max_object_bytes) {
  if (max_object_bytes <= 0) {
    return InvalidArgument("max_object_bytes is {}, expected a number above 0",
                           max_object_bytes);
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "create", folder);
  RemoveStaleFiles(folder);
  return std::unique_ptr<FileObjectStore>(
      new FileObjectStore(folder, max_object_bytes));
}

bool FileObjectStore::Has(const std::string& sha256) const {
  std::error_code ignored;
  return IsSha256Hex(sha256) && fs::is_regular_file(folder_ / sha256, ignored);
}

StatusOr<fs::path> FileObjectStore::Path(const std::string& sha256) const {
  TANDEM_RETURN_IF_ERROR(CheckDigest(sha256));
  if (!Has(sha256)) return NoSuchObject(sha256);
  return folder_ / sha256;
}

StatusOr<int64_t> FileObjectStore::Size(const std::string& sha256) const {
  TANDEM_ASSIGN_OR_RETURN(const fs::path path, Path(sha256));
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return ErrnoStatus(error.value(), "stat", path);
  return static_cast<int64_t>(size);
}

StatusOr<MappedFile> FileObjectStore::Open(const std::string& sha256) const {
  TANDEM_ASSIGN_OR_RETURN(const fs::path path, Path(sha256));
  return MappedFile::Open(path);
}

StatusOr<std::string> FileObjectStore::ReadChunk(const std::string& sha256,
                                                 int64_t offset,
                                                 int64_t max_bytes) const {
  TANDEM_ASSIGN_OR_RETURN(const MappedFile file, Open(sha256));
  const std::string_view bytes = file.text();
  if (offset < 0 || offset > static_cast<int64_t>(bytes.size())) {
    return OutOfRange("offset {} is not within the {} bytes of object {}",
                      offset, bytes.size(), sha256);
  }
  return std::string(
      bytes.substr(static_cast<size_t>(offset),
                   static_cast<size_t>(std::max<int64_t>(max_bytes, 0))));
}

StatusOr<proto::ObjectRef> FileObjectStore::PutBytes(std::string_view bytes) {
  std::string sha256 = Sha256Hex(bytes);
  if (!Has(sha256)) {
    TANDEM_RETURN_IF_ERROR(WriteFileAtomically(folder_ / sha256, bytes));
  }
  return MakeRef(std::move(sha256), static_cast<int64_t>(bytes.size()));
}

StatusOr<proto::ObjectRef> FileObjectStore::PutFile(const fs::path& file) {
  TANDEM_ASSIGN_OR_RETURN(std::string sha256, Sha256HexOfFile(file));
  if (Has(sha256)) {
    TANDEM_RETURN_IF_ERROR(RemoveFile(file));
  } else {
    TANDEM_RETURN_IF_ERROR(MoveFileAtomically(file, folder_ / sha256));
  }
  TANDEM_ASSIGN_OR_RETURN(const int64_t size, Size(sha256));
  return MakeRef(std::move(sha256), size);
}

StatusOr<int64_t> FileObjectStore::AppendUpload(const std::string& sha256,
                                                int64_t total_size,
                                                int64_t offset,
                                                std::string_view chunk) {
  TANDEM_RETURN_IF_ERROR(CheckUpload(sha256, total_size, offset, chunk));
  std::lock_guard<std::mutex> lock(LockOf(sha256));
  if (Has(sha256)) return CheckStoredSize(sha256, total_size);
  TANDEM_ASSIGN_OR_RETURN(PartialUpload upload,
                          PartialUpload::Open(PartPath(sha256)));
  // Somebody named another size before: one of the two is wrong.
  if (upload.size() > total_size) TANDEM_RETURN_IF_ERROR(upload.Clear());
  if (upload.size() == offset) TANDEM_RETURN_IF_ERROR(upload.Append(chunk));
  if (upload.size() == total_size) {
    TANDEM_RETURN_IF_ERROR(FinishUpload(sha256));
  }
  return upload.size();
}

Status FileObjectStore::CheckUpload(const std::string& sha256,
                                    int64_t total_size, int64_t offset,
                                    std::string_view chunk) const {
  TANDEM_RETURN_IF_ERROR(CheckDigest(sha256));
  if (total_size < 0 || offset < 0 || offset > total_size ||
      chunk.size() > static_cast<uint64_t>(total_size - offset)) {
    return InvalidArgument(
        "{} bytes at offset {} do not fit an object of {} bytes", chunk.size(),
        offset, total_size);
  }
  if (total_size > max_object_bytes_) {
    return ResourceExhausted(
        "object {} has {} bytes, more than the limit max_object_bytes = {}",
        sha256, total_size, max_object_bytes_);
  }
  return OkStatus();
}

StatusOr<int64_t> FileObjectStore::CheckStoredSize(const std::string& sha256,
                                                   int64_t total_size) const {
  TANDEM_ASSIGN_OR_RETURN(const int64_t size, Size(sha256));
  if (size == total_size) return size;
  return InvalidArgument("object {} has {} bytes, not {}", sha256, size,
                         total_size);
}

Status FileObjectStore::FinishUpload(const std::string& sha256) {
  const fs::path part = PartPath(sha256);
  TANDEM_ASSIGN_OR_RETURN(const std::string actual, Sha256HexOfFile(part));
  if (actual != sha256) {
    TANDEM_RETURN_IF_ERROR(RemoveFile(part));
    return InvalidArgument("the upload named {} has digest {}; it starts over",
                           sha256, actual);
  }
  return MoveFileAtomically(part, folder_ / sha256);
}

Status FileObjectStore::Remove(const std::string& sha256) {
  TANDEM_RETURN_IF_ERROR(CheckDigest(sha256));
  std::lock_guard<std::mutex> lock(LockOf(sha256));
  TANDEM_RETURN_IF_ERROR(RemoveFile(PartPath(sha256)));
  return RemoveFile(folder_ / sha256);
}

fs::path FileObjectStore::PartPath(const std::string& sha256) const {
  return folder_ / fmt::format("{}{}", sha256, kPartSuffix);
}

std::mutex& FileObjectStore::LockOf(const std::string& sha256) {
  return locks_[std::hash<std::string>{}(sha256) % locks_.size()];
}

}  // namespace tandem
