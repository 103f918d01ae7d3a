#include "model/frozen_product.h"

#include <algorithm>

#include "model/aten.h"

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

// x in the type in which it is multiplied by `weight`.
at::Tensor InFactorType(const at::Tensor& x, const FrozenWeight& weight) {
  return MultipliesNatively(weight) ? x.to(at::kBFloat16) : x;
}

// True where the weight is multiplied as it is, without tiles of x's dtype.
bool FitsWhole(const at::Tensor& x, const FrozenWeight& weight) {
  return !weight.blocks() &&
         (weight.tensor().scalar_type() == x.scalar_type() ||
          PacksWell({x, weight.tensor()}));
}

// y = x W^T + the sum of `more`.
void MultiplyTransposed(const at::Tensor& x, const FrozenWeight& weight,
                        std::vector<ProductTerm> more, at::Tensor& y) {
  if (FitsWhole(x, weight)) {
    more.insert(more.begin(), {x, weight.tensor().t()});
    return SumOfProducts(more, /*accumulate=*/false, y);
  }
  ForEachTile(weight, x.scalar_type(),
              [&](int64_t from, const at::Tensor& tile) {
                at::Tensor columns = y.narrow(1, from, tile.size(0));
                SumOfProducts({{x, tile.t()}}, /*accumulate=*/false, columns);
              });
  if (!more.empty()) SumOfProducts(more, /*accumulate=*/true, y);
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

at::Tensor TimesTransposed(const at::Tensor& x, const FrozenWeight& weight,
                           const std::vector<ProductTerm>& more) {
  at::Tensor y = at::empty({x.size(0), weight.rows()}, x.options());
  TimesTransposedInto(y, x, weight, more);
  return y;
}

void TimesTransposedInto(at::Tensor& product, const at::Tensor& x,
                         const FrozenWeight& weight,
                         const std::vector<ProductTerm>& more) {
  MultiplyTransposed(InFactorType(x, weight), weight, more, product);
}

at::Tensor TimesTransposedExactly(const at::Tensor& x,
                                  const FrozenWeight& weight) {
  at::Tensor y = at::empty({x.size(0), weight.rows()}, x.options());
  MultiplyTransposed(x, weight, {}, y);
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
  const at::Tensor rows = InFactorType(x, weight);
  if (FitsWhole(rows, weight))
    return SumOfProducts({{rows, weight.tensor()}}, /*accumulate=*/true, sum);
  ForEachTile(weight, rows.scalar_type(),
              [&](int64_t from, const at::Tensor& tile) {
                SumOfProducts({{rows.narrow(1, from, tile.size(0)), tile}},
                              /*accumulate=*/true, sum);
              });
}

}  // namespace tandem
