// Memory for the weights of a model.
#ifndef TANDEM_MODEL_WEIGHT_ARENA_H_
#define TANDEM_MODEL_WEIGHT_ARENA_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>

namespace tandem {

// Matrices in a few large allocations for which the system is asked for huge
// pages: one page fault for 2 MiB that are written first, and one entry of the
// TLB, in place of 512. What it gives out keeps its allocation alive.
class WeightArena {
 public:
  // Uninitialised, contiguous, at a multiple of 64 bytes. Throws c10::Error
  // where memory is short.
  at::Tensor Empty(int64_t rows, int64_t columns, at::ScalarType dtype);

 private:
  void Allocate(size_t bytes);

  at::Tensor allocation_;  // the latest, kByte
  std::byte* next_ = nullptr;
  size_t left_ = 0;  // bytes from next_ on
};

}  // namespace tandem

#endif  // TANDEM_MODEL_WEIGHT_ARENA_H_
