// Which objects clients may download: global adapters and teacher targets, not
// each other's updates.
#ifndef TANDEM_SERVER_PUBLISHED_OBJECTS_H_
#define TANDEM_SERVER_PUBLISHED_OBJECTS_H_

#include <mutex>
#include <set>
#include <string>

namespace tandem {

// Thread-safe.
class PublishedObjects {
 public:
  void Add(const std::string& sha256) {
    const std::lock_guard lock(mutex_);
    objects_.insert(sha256);
  }
  bool Contains(const std::string& sha256) const {
    const std::lock_guard lock(mutex_);
    return objects_.contains(sha256);
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::string> objects_;  // guarded by mutex_
};

}  // namespace tandem

#endif  // TANDEM_SERVER_PUBLISHED_OBJECTS_H_
