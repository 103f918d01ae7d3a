// Seeded pseudo-random numbers, the same on every machine. Never for privacy:
// see privacy/secure_random.h.
#ifndef TANDEM_COMMON_RANDOM_H_
#define TANDEM_COMMON_RANDOM_H_

#include <cstdint>
#include <string_view>
#include <vector>

namespace tandem {

// A seed for one purpose out of a run's root seed: DeriveSeed(seed,
// "client-a/shuffle", round). Streams of different labels or indices are
// independent.
uint64_t DeriveSeed(uint64_t root, std::string_view label, uint64_t index = 0);

// xoshiro256** (Blackman and Vigna, 2018), seeded through SplitMix64.
class SeededRandom {
 public:
  explicit SeededRandom(uint64_t seed);
  uint64_t NextUint64();
  double Uniform();  // in [0, 1), 53 bits
  uint64_t Below(
      uint64_t bound);  // in [0, bound), unbiased. REQUIRES: bound > 0
  double Normal();      // standard normal, Box-Muller
  std::vector<int64_t> Permutation(
      int64_t size);  // of 0 .. size-1, Fisher-Yates

 private:
  uint64_t state_[4];
};

}  // namespace tandem

#endif  // TANDEM_COMMON_RANDOM_H_
