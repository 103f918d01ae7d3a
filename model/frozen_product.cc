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
void ForEachTile(const FrozenWeight& weight, at::ScalarType dtype, Use&& use) {
  const int64_t rows = weight.rows(), columns = weight.columns();
  const int64_t tile_rows = std::max<int64_t>(1, kTileElements / columns);
  for (int64_t from = 0; from < rows; from += tile_rows) {
    const int64_t n = std::min(tile_rows, rows - from);
    at::Tensor tile = TileBuffer(n * columns, dtype).view({n, columns});
    weight.CopyRows(from, tile);
    use(from, tile);
  }
}

bool MultipliesNatively(const FrozenWeight& weight) {
  return MultipliesBfloat16() &&
         (weight.blocks() || weight.tensor().scalar_type() == at::kBFloat16);
}

bool IsTensorOf(const FrozenWeight& weight, at::ScalarType dtype) {
  return !weight.blocks() && weight.tensor().scalar_type() == dtype;
}

// x W^T with `x` of the dtype that tiles are made in; into y of any dtype.
void MultiplyTiles(const at::Tensor& x, const FrozenWeight& weight,
                   at::Tensor& y) {
  const at::ScalarType dtype = x.scalar_type();
  ForEachTile(weight, dtype, [&](int64_t from, const at::Tensor& tile) {
    at::Tensor columns = y.narrow(1, from, tile.size(0));
    if (y.scalar_type() == dtype) {
      at::mm_out(columns, x, tile.t());
    } else {
      columns.copy_(at::mm(x, tile.t()));
    }
  });
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

at::Tensor TimesTransposed(const at::Tensor& x, const FrozenWeight& weight) {
  if (!MultipliesNatively(weight)) return TimesTransposedExactly(x, weight);
  const at::Tensor rounded = x.to(at::kBFloat16);
  if (!weight.blocks())
    return at::mm(rounded, weight.tensor().t()).to(x.scalar_type());
  at::Tensor y = at::empty({x.size(0), weight.rows()}, x.options());
  MultiplyTiles(rounded, weight, y);
  return y;
}

at::Tensor TimesTransposedExactly(const at::Tensor& x,
                                  const FrozenWeight& weight) {
  if (IsTensorOf(weight, x.scalar_type()))
    return at::mm(x, weight.tensor().t());
  at::Tensor y = at::empty({x.size(0), weight.rows()}, x.options());
  MultiplyTiles(x, weight, y);
  return y;
}

at::Tensor RowSquares(const FrozenWeight& weight) {
  at::Tensor squares = at::empty({weight.rows()}, at::kDouble);
  ForEachTile(weight, at::kDouble, [&](int64_t from, const at::Tensor& tile) {
    squares.narrow(0, from, tile.size(0)).copy_(tile.square().sum(1));
  });
  return squares;
}

void AddProduct(const at::Tensor& x, const FrozenWeight& weight,
                at::Tensor& sum) {
  const bool native = MultipliesNatively(weight);
  const at::Tensor rows = native ? x.to(at::kBFloat16) : x;
  if (IsTensorOf(weight, rows.scalar_type())) {
    if (native) {
      sum.add_(at::mm(rows, weight.tensor()));
    } else {
      sum.addmm_(rows, weight.tensor());
    }
    return;
  }
  ForEachTile(weight, rows.scalar_type(),
              [&](int64_t from, const at::Tensor& tile) {
                const at::Tensor part = rows.narrow(1, from, tile.size(0));
                if (native) {
                  sum.add_(at::mm(part, tile));
                } else {
                  sum.addmm_(part, tile);
                }
              });
}

}  // namespace tandem
