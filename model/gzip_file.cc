#include "model/gzip_file.h"

#include <zlib.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "common/files.h"

namespace tandem {
namespace {

struct CloseGzip {
  void operator()(gzFile file) const { gzclose_r(file); }
};

}  // namespace

StatusOr<std::string> ReadGzipFile(const std::filesystem::path& path,
                                   int64_t max_bytes) {
  errno = 0;
  const std::unique_ptr<gzFile_s, CloseGzip> file(gzopen(path.c_str(), "rb"));
  if (file == nullptr) return ErrnoStatus(errno, "open", path);
  std::string bytes;
  std::vector<char> buffer(1 << 16);
  while (true) {
    const int got = gzread(file.get(), buffer.data(), buffer.size());
    // zlib hands other files through as they are.
    if (gzdirect(file.get())) {
      return InvalidArgument("{} is no gzip file", path.string());
    }
    int error = Z_OK;
    const char* reason = gzerror(file.get(), &error);
    if (error == Z_ERRNO) return ErrnoStatus(errno, "read", path);
    if (error != Z_OK) {
      return InvalidArgument("{} is damaged or cut off after {} bytes: {}",
                             path.string(), bytes.size(), reason);
    }
    if (got <= 0) return bytes;
    bytes.append(buffer.data(), got);
    if (static_cast<int64_t>(bytes.size()) > max_bytes) {
      return InvalidArgument("{} unpacks to more than {} bytes", path.string(),
                             max_bytes);
    }
  }
}

}  // namespace tandem
