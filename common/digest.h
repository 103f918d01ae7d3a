// SHA-256 digests, the names of all objects in Tandem, as 64 lower-case
// hexadecimal digits.
#ifndef TANDEM_COMMON_DIGEST_H_
#define TANDEM_COMMON_DIGEST_H_

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tandem {

// Digest of data that arrives in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(std::string_view bytes);
  std::string HexDigest() &&;  // use once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string Sha256Hex(std::string_view bytes);
// NotFound or Internal (with the system's reason) where the file cannot be
// read.
StatusOr<std::string> Sha256HexOfFile(const std::filesystem::path& path);
// True for exactly 64 characters of [0-9a-f]; the check before a peer's digest
// becomes part of a path.
bool IsSha256Hex(std::string_view text);

}  // namespace tandem

#endif  // TANDEM_COMMON_DIGEST_H_
