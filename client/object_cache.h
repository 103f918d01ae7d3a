// Downloaded objects on disk, kept between rounds and runs.
#ifndef TANDEM_CLIENT_OBJECT_CACHE_H_
#define TANDEM_CLIENT_OBJECT_CACHE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "common/status.h"
#include "proto/federation.pb.h"

namespace tandem {

// The bytes of an object from `offset` on: one GetObject call.
using ChunkSource =
    std::function<StatusOr<proto::GetObjectResponse>(int64_t offset)>;

// A folder of files named by their SHA-256, bounded in size: what has not been
// used for longest goes first. Several processes may share it, each with an
// `owner` of its own. Not thread-safe.
class ObjectCache {
 public:
  // Creates the folder where it is missing. `owner` names partial downloads:
  // letters, digits, '-' and '_' (a client id); InvalidArgument for any other.
  // max_bytes bounds both the cache and one object.
  static StatusOr<ObjectCache> Open(const std::filesystem::path& folder,
                                    const std::string& owner,
                                    int64_t max_bytes);

  // The file of the object, complete and verified; it stays at least until the
  // next Fetch of this owner. What an earlier, interrupted Fetch has left is
  // continued where it ended, across restarts too. A download whose digest is
  // wrong is thrown away and made once more from the start.
  //
  // InvalidArgument: malformed digest, negative size. ResourceExhausted: larger
  // than max_bytes; full disk. DataLoss: the source's bytes are not the object
  // (twice), or it names another size. Errors of `source`, whereupon what has
  // arrived is kept.
  StatusOr<std::filesystem::path> Fetch(const proto::ObjectRef& object,
                                        const ChunkSource& source);

 private:
  ObjectCache(std::filesystem::path folder, std::string owner,
              int64_t max_bytes)
      : folder_(std::move(folder)),
        owner_(std::move(owner)),
        max_bytes_(max_bytes) {}

  Status Download(const proto::ObjectRef& object, const ChunkSource& source);
  void EvictAllBut(const std::string& name);

  std::filesystem::path folder_;
  std::string owner_;
  int64_t max_bytes_;
};

}  // namespace tandem

#endif  // TANDEM_CLIENT_OBJECT_CACHE_H_
