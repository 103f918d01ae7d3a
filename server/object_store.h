// Immutable files named by their SHA-256: global adapters, updates, teacher
// targets, optimiser states.
#ifndef TANDEM_SERVER_OBJECT_STORE_H_
#define TANDEM_SERVER_OBJECT_STORE_H_

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "common/files.h"
#include "common/status.h"
#include "proto/federation.pb.h"

namespace tandem {

// Thread-safe. Every method that takes a digest answers InvalidArgument where
// it is not 64 lower-case hexadecimal digits, before anything else is looked
// at, and NotFound where it needs an object that is not there. Whatever fails,
// objects that were stored before are untouched.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // False for a malformed digest and for an upload that is not complete.
  virtual bool Has(const std::string& sha256) const = 0;
  virtual StatusOr<int64_t> Size(const std::string& sha256) const = 0;
  // A file to read the object from, for readers that take a path
  // (ReadSafetensors). Never write to it.
  virtual StatusOr<std::filesystem::path> Path(
      const std::string& sha256) const = 0;
  // The object mapped read-only; the mapping outlives a later Remove.
  virtual StatusOr<MappedFile> Open(const std::string& sha256) const = 0;
  // At most `max_bytes` bytes from `offset` on; empty exactly at the end.
  // OutOfRange: offset negative or past the end.
  virtual StatusOr<std::string> ReadChunk(const std::string& sha256,
                                          int64_t offset,
                                          int64_t max_bytes) const = 0;

  // Stores the bytes, durably, and names them. Storing what is there already
  // is free. ResourceExhausted on a full disk.
  virtual StatusOr<proto::ObjectRef> PutBytes(std::string_view bytes) = 0;
  // The same with a file, which is moved: it is gone afterwards, unless an
  // error is returned. NotFound where it does not exist.
  virtual StatusOr<proto::ObjectRef> PutFile(
      const std::filesystem::path& file) = 0;

  // One chunk of an upload by a peer. Returns the bytes that the store has by
  // now, which is where the next chunk starts; `total_size` means complete,
  // verified against the digest and durable. A partial upload survives a
  // restart, unless nothing was added to it for an hour before. An empty chunk
  // asks how far the upload got, and a chunk whose offset is not that point
  // (repeated after a lost answer, or too far ahead) is left out and answered
  // in the same way. InvalidArgument: negative size or offset; a chunk past
  // total_size; total_size other than the stored object's; the complete file's
  // digest is not `sha256` (the upload starts over). ResourceExhausted:
  // total_size above max_object_bytes; full disk (what was received before
  // stays, and the same chunk can be sent again).
  virtual StatusOr<int64_t> AppendUpload(const std::string& sha256,
                                         int64_t total_size, int64_t offset,
                                         std::string_view chunk) = 0;

  // Deletes the object and a partial upload of it; OK where there is neither.
  virtual Status Remove(const std::string& sha256) = 0;
};

// Objects as the files FOLDER/<digest>, partial uploads as
// FOLDER/<digest>.part.
class FileObjectStore : public ObjectStore {
 public:
  // Creates `folder` (RUN_DIR/objects) where it is missing, and sweeps what was
  // left unfinished in it: temporary files and partial uploads that have not
  // changed for an hour. The bound is on what peers upload: max_object_bytes >
  // 0, else InvalidArgument.
  static StatusOr<std::unique_ptr<FileObjectStore>> Open(
      const std::filesystem::path& folder, int64_t max_object_bytes);

  bool Has(const std::string& sha256) const override;
  StatusOr<int64_t> Size(const std::string& sha256) const override;
  StatusOr<std::filesystem::path> Path(
      const std::string& sha256) const override;
  StatusOr<MappedFile> Open(const std::string& sha256) const override;
  StatusOr<std::string> ReadChunk(const std::string& sha256, int64_t offset,
                                  int64_t max_bytes) const override;
  StatusOr<proto::ObjectRef> PutBytes(std::string_view bytes) override;
  StatusOr<proto::ObjectRef> PutFile(
      const std::filesystem::path& file) override;
  StatusOr<int64_t> AppendUpload(const std::string& sha256, int64_t total_size,
                                 int64_t offset,
                                 std::string_view chunk) override;
  Status Remove(const std::string& sha256) override;

 private:
  FileObjectStore(std::filesystem::path folder, int64_t max_object_bytes)
      : folder_(std::move(folder)), max_object_bytes_(max_object_bytes) {}

  std::filesystem::path PartPath(const std::string& sha256) const;
  Status CheckUpload(const std::string& sha256, int64_t total_size,
                     int64_t offset, std::string_view chunk) const;
  // The size, where it is total_size; else InvalidArgument.
  StatusOr<int64_t> CheckStoredSize(const std::string& sha256,
                                    int64_t total_size) const;
  // Verifies the complete partial upload and makes it an object.
  Status FinishUpload(const std::string& sha256);
  std::mutex& LockOf(const std::string& sha256);

  const std::filesystem::path folder_;
  const int64_t max_object_bytes_;
  // Writers of one digest exclude each other; different digests seldom do.
  std::array<std::mutex, 64> locks_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_OBJECT_STORE_H_
