#include "common/random.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace tandem {
namespace {

uint64_t SplitMix64(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// FNV-1a, the label's part of a derived seed.
uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

}  // namespace

uint64_t DeriveSeed(uint64_t root, std::string_view label, uint64_t index) {
  uint64_t state = root;
  state = SplitMix64(state) ^ HashOf(label);
  state = SplitMix64(state) ^ index;
  return SplitMix64(state);
}

SeededRandom::SeededRandom(uint64_t seed) {
  for (uint64_t& word : state_) word = SplitMix64(seed);
}

uint64_t SeededRandom::NextUint64() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double SeededRandom::Uniform() {
  return static_cast<double>(NextUint64() >> 11) * 0x1.0p-53;
}

uint64_t SeededRandom::Below(uint64_t bound) {
  // Draws under 2^64 mod bound would favour the small numbers.
  const uint64_t unfair = -bound % bound;
  while (true) {
    const uint64_t draw = NextUint64();
    if (draw >= unfair) return draw % bound;
  }
}

double SeededRandom::Normal() {
  const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
  return radius * std::cos(2 * std::numbers::pi * Uniform());
}

std::vector<int64_t> SeededRandom::Permutation(int64_t size) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[Below(i)]);
  }
  return order;
}

}  // namespace tandem
