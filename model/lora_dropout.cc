#include "model/lora_dropout.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "common/random.h"
#include "model/aten.h"

namespace tandem {

at::Tensor DropoutMask(int64_t rows, int64_t columns, double probability,
                       uint64_t seed) {
  at::Tensor mask = at::empty({rows, columns}, at::kBool);
  bool* keep = mask.mutable_data_ptr<bool>();
  const auto threshold =
      static_cast<uint32_t>(std::ldexp(probability, 32));  // below 2^32
  at::parallel_for(0, rows, 16, [&](int64_t from, int64_t to) {
    for (int64_t row = from; row < to; ++row) {
      SeededRandom random(DeriveSeed(seed, "row", static_cast<uint64_t>(row)));
      uint64_t bits = 0;
      for (int64_t i = 0; i < columns; ++i) {
        bits = i % 2 == 0 ? random.NextUint64() : bits >> 32;
        keep[row * columns + i] = static_cast<uint32_t>(bits) >= threshold;
      }
    }
  });
  return mask;
}

}  // namespace tandem
