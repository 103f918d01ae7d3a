#include "common/digest.h"

#include <openssl/evp.h>

#include <algorithm>

#include "common/files.h"

namespace tandem {

struct Sha256::Context {
  Context() : evp(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(evp, EVP_sha256(), nullptr);
  }
  ~Context() { EVP_MD_CTX_free(evp); }
  EVP_MD_CTX* evp;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;

void Sha256::Update(std::string_view bytes) {
  EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size());
}

std::string Sha256::HexDigest() && {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_->evp, digest, &size);
  std::string hex;
  hex.reserve(2 * size);
  for (unsigned int i = 0; i < size; ++i)
    hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 digest;
  digest.Update(bytes);
  return std::move(digest).HexDigest();
}

StatusOr<std::string> Sha256HexOfFile(const std::filesystem::path& path) {
  Sha256 digest;
  TANDEM_RETURN_IF_ERROR(ReadFileInPieces(
      path, [&digest](std::string_view bytes) { digest.Update(bytes); }));
  return std::move(digest).HexDigest();
}

bool IsSha256Hex(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace tandem
