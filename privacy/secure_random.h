// Random numbers that privacy rests on: noise, and a secret seed.
#ifndef TANDEM_PRIVACY_SECURE_RANDOM_H_
#define TANDEM_PRIVACY_SECURE_RANDOM_H_

#include <cstdint>
#include <memory>
#include <span>

#include "common/status.h"

namespace tandem {

class NoiseSource {
 public:
  virtual ~NoiseSource() = default;
  // Independent standard normal draws.
  virtual void FillNormal(std::span<double> out) = 0;
};

// ChaCha20 keyed with 256 bits from the operating system (through OpenSSL),
// 53-bit uniforms, Box-Muller. What a release uses.
std::unique_ptr<NoiseSource> NewSecureNoiseSource();
// Reproducible and therefore worthless as protection; logs a warning that says
// so.
std::unique_ptr<NoiseSource> NewInsecureNoiseSourceForTests(uint64_t seed);

// 64 bits from the operating system (through OpenSSL), for a seed that nobody
// may guess. Internal: it gave none.
StatusOr<uint64_t> NewSecretSeed();

}  // namespace tandem

#endif  // TANDEM_PRIVACY_SECURE_RANDOM_H_
