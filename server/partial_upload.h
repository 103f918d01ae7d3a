// The file of an upload that is not complete yet.
#ifndef TANDEM_SERVER_PARTIAL_UPLOAD_H_
#define TANDEM_SERVER_PARTIAL_UPLOAD_H_

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>

#include "common/status.h"

namespace tandem {

// Appends are not synced one by one: what a power cut damages is caught by the
// digest at the end, and the upload starts over.
class PartialUpload {
 public:
  // Creates an empty file where there is none. Errors are ErrnoStatus's.
  static StatusOr<PartialUpload> Open(const std::filesystem::path& path);
  ~PartialUpload();
  PartialUpload(PartialUpload&& other) noexcept
      : path_(std::move(other.path_)),
        fd_(std::exchange(other.fd_, -1)),
        size_(other.size_) {}
  PartialUpload(const PartialUpload&) = delete;
  PartialUpload& operator=(const PartialUpload&) = delete;

  int64_t size() const { return size_; }
  // All of `bytes` or, in case of an error, nothing.
  Status Append(std::string_view bytes);
  // Back to an empty file.
  Status Clear() { return Truncate(0); }

 private:
  PartialUpload(std::filesystem::path path, int fd)
      : path_(std::move(path)), fd_(fd) {}
  Status Truncate(int64_t size);

  std::filesystem::path path_;
  int fd_;
  int64_t size_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_PARTIAL_UPLOAD_H_
