#include "model/frozen_product.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace tandem {
namespace {

// Of a widened tile: 2 MiB, about a core's second-level cache.
constexpr int64_t kTileElements = 512 * 1024;

// Room for a widened tile, kept by the thread that multiplies.
at::Tensor TileBuffer(int64_t elements, at::ScalarType dtype) {
  thread_local at::Tensor buffer;
  if (!buffer.defined() || buffer.numel() < elements ||
      buffer.scalar_type() != dtype)
    buffer = at::empty({std::max(elements, kTileElements)}, dtype);
  return buffer.narrow(0, 0, elements);
}

// Calls use(first row, tile) for all rows of `weight`, a few at a time, in
// `dtype`.
template <typename Use>
void ForEachTile(const at::Tensor& weight, at::ScalarType dtype, Use&& use) {
  const int64_t rows = weight.size(0), columns = weight.size(1);
  const int64_t tile_rows = std::max<int64_t>(1, kTileElements / columns);
  for (int64_t from = 0; from < rows; from += tile_rows) {
    const int64_t n = std::min(tile_rows, rows - from);
    at::Tensor tile = TileBuffer(n * columns, dtype).view({n, columns});
    tile.copy_(weight.narrow(0, from, n));
    use(from, tile);
  }
}

bool MultipliesNatively(const at::Tensor& weight) {
  return weight.scalar_type() == at::kBFloat16 && MultipliesBfloat16();
}

}  // namespace

bool MultipliesBfloat16() {
#if defined(__x86_64__)
  static const bool supported = __builtin_cpu_supports("avx512bf16");
  return supported;
#else
  return false;
#endif
}

at::Tensor TimesTransposed(const at::Tensor& x, const at::Tensor& weight) {
  if (MultipliesNatively(weight))
    return at::mm(x.to(at::kBFloat16), weight.t()).to(x.scalar_type());
  return TimesTransposedExactly(x, weight);
}

at::Tensor TimesTransposedExactly(const at::Tensor& x,
                                  const at::Tensor& weight) {
  const at::ScalarType dtype = x.scalar_type();
  if (weight.scalar_type() == dtype) return at::mm(x, weight.t());
  at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  ForEachTile(weight, dtype, [&](int64_t from, const at::Tensor& tile) {
    at::Tensor columns = y.narrow(1, from, tile.size(0));
    at::mm_out(columns, x, tile.t());
  });
  return y;
}

at::Tensor RowSquares(const at::Tensor& weight) {
  at::Tensor squares = at::empty({weight.size(0)}, at::kDouble);
  ForEachTile(weight, at::kDouble, [&](int64_t from, const at::Tensor& tile) {
    squares.narrow(0, from, tile.size(0)).copy_(tile.square().sum(1));
  });
  return squares;
}

void AddProduct(const at::Tensor& x, const at::Tensor& weight,
                at::Tensor& sum) {
  const at::ScalarType dtype = x.scalar_type();
  if (weight.scalar_type() == dtype) {
    sum.addmm_(x, weight);
  } else if (MultipliesNatively(weight)) {
    sum.add_(at::mm(x.to(at::kBFloat16), weight));
  } else {
    ForEachTile(weight, dtype, [&](int64_t from, const at::Tensor& tile) {
      sum.addmm_(x.narrow(1, from, tile.size(0)), tile);
    });
  }
}

}  // namespace tandem
