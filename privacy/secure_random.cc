#include "privacy/secure_random.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <stdexcept>

#include "common/random.h"

namespace tandem {
namespace {

constexpr int kKeyBytes = 32;
constexpr int kIvBytes = 16;
// Far below the 256 GiB after which ChaCha20's 32-bit block counter wraps.
constexpr int64_t kBytesPerKey = int64_t{1} << 30;

void Require(bool done, const char* what) {
  if (!done) throw std::runtime_error(what);
}

// The ChaCha20 keystream under a key from the operating system, as words.
class ChaCha20Stream {
 public:
  ChaCha20Stream() : cipher_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free) {
    Require(cipher_ != nullptr, "out of memory for the ChaCha20 state");
    DrawKey();
  }

  uint64_t NextUint64() {
    if (next_ == words_.size()) Refill();
    return words_[next_++];
  }

 private:
  void DrawKey() {
    std::array<unsigned char, kKeyBytes + kIvBytes> key_and_iv{};
    // The counter, which leads the IV, starts at zero.
    Require(RAND_priv_bytes(key_and_iv.data(), kKeyBytes) == 1,
            "the operating system gave no randomness for privacy noise");
    const bool ready = EVP_EncryptInit_ex(cipher_.get(), EVP_chacha20(),
                                          nullptr, key_and_iv.data(),
                                          key_and_iv.data() + kKeyBytes) == 1;
    OPENSSL_cleanse(key_and_iv.data(), key_and_iv.size());
    Require(ready, "ChaCha20 is not available in this OpenSSL");
    bytes_left_ = kBytesPerKey;
  }

  void Refill() {
    static constexpr std::array<uint64_t, kWords> kZeros{};
    constexpr int kBytes = kWords * sizeof(uint64_t);
    if (bytes_left_ < kBytes) DrawKey();
    int written = 0;
    const int done = EVP_EncryptUpdate(
        cipher_.get(), reinterpret_cast<unsigned char*>(words_.data()),
        &written, reinterpret_cast<const unsigned char*>(kZeros.data()),
        kBytes);
    Require(done == 1 && written == kBytes, "ChaCha20 failed");
    bytes_left_ -= kBytes;
    next_ = 0;
  }

  static constexpr size_t kWords = 1024;
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> cipher_;
  std::array<uint64_t, kWords> words_{};
  size_t next_ = kWords;
  int64_t bytes_left_ = 0;
};

class SecureNoiseSource : public NoiseSource {
 public:
  void FillNormal(std::span<double> out) override {
    for (size_t i = 0; i < out.size(); i += 2) {
      const auto [first, second] = NextPair();
      out[i] = first;
      if (i + 1 < out.size()) out[i + 1] = second;
    }
  }

 private:
  // Box and Muller (1958). The radius needs a uniform in (0, 1].
  std::pair<double, double> NextPair() {
    constexpr double kUnit = 0x1p-53;
    const double u = static_cast<double>((stream_.NextUint64() >> 11) + 1);
    const double v = static_cast<double>(stream_.NextUint64() >> 11);
    const double radius = std::sqrt(-2 * std::log(u * kUnit));
    const double angle = 2 * std::numbers::pi * (v * kUnit);
    return {radius * std::cos(angle), radius * std::sin(angle)};
  }

  ChaCha20Stream stream_;
};

class SeededNoiseSource : public NoiseSource {
 public:
  explicit SeededNoiseSource(uint64_t seed) : random_(seed) {}
  void FillNormal(std::span<double> out) override {
    for (double& draw : out) draw = random_.Normal();
  }

 private:
  SeededRandom random_;
};

}  // namespace

std::unique_ptr<NoiseSource> NewSecureNoiseSource() {
  return std::make_unique<SecureNoiseSource>();
}

std::unique_ptr<NoiseSource> NewInsecureNoiseSourceForTests(uint64_t seed) {
  spdlog::warn(
      "privacy noise comes from seed {}: it can be reproduced and protects "
      "nobody; for tests only",
      seed);
  return std::make_unique<SeededNoiseSource>(seed);
}

StatusOr<uint64_t> NewSecretSeed() {
  std::array<unsigned char, sizeof(uint64_t)> bytes{};
  if (RAND_priv_bytes(bytes.data(), bytes.size()) != 1) {
    return Internal(
        "the operating system gave no randomness for a secret seed");
  }
  uint64_t seed = 0;
  std::memcpy(&seed, bytes.data(), bytes.size());
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return seed;
}

}  // namespace tandem
