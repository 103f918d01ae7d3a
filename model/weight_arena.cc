#include "model/weight_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <memory>

#include "model/aten.h"

namespace tandem {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kAllocation = 16 * kHugePage;
constexpr size_t kCacheLine = 64;

constexpr size_t RoundedUp(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

void WeightArena::Allocate(size_t bytes) {
  left_ = RoundedUp(std::max(bytes, kAllocation), kHugePage);
  allocation_ = at::empty({static_cast<int64_t>(left_ + kHugePage)}, at::kByte);
  void* start = allocation_.mutable_data_ptr();
  size_t space = left_ + kHugePage;
  next_ = static_cast<std::byte*>(std::align(kHugePage, left_, start, space));
#ifdef MADV_HUGEPAGE
  // A wish: pages of any size hold the same.
  static_cast<void>(::madvise(next_, left_, MADV_HUGEPAGE));
#endif
}

at::Tensor WeightArena::Empty(int64_t rows, int64_t columns,
                              at::ScalarType dtype) {
  const size_t bytes = RoundedUp(
      static_cast<size_t>(rows * columns) * at::elementSize(dtype), kCacheLine);
  if (bytes > left_) Allocate(bytes);
  void* const data = next_;
  next_ += bytes;
  left_ -= bytes;
  return at::from_blob(
      data, {rows, columns}, [owner = allocation_](void*) {}, dtype);
}

}  // namespace tandem
