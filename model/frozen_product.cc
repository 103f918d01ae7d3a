#include "model/frozen_product.h"

#include <algorithm>

#include "model/aten.h"
#include "model/int16_product.h"

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

// How the factors of a product are rounded.
enum class Factors { kExact, kBfloat16, kInt16 };

Factors FastestFactors(const at::Tensor& x, const FrozenWeight& weight) {
  const bool is_bfloat16 =
      !weight.blocks() && weight.tensor().scalar_type() == at::kBFloat16;
  if (MultipliesBfloat16() && (is_bfloat16 || weight.blocks()))
    return Factors::kBfloat16;
  return is_bfloat16 && PrefersPacking() && x.scalar_type() == at::kFloat &&
                 x.size(0) >= kLeastInt16Rows
             ? Factors::kInt16
             : Factors::kExact;
}

// x in the type in which it is multiplied.
at::Tensor InFactorType(const at::Tensor& x, Factors factors) {
  return factors == Factors::kBfloat16 ? x.to(at::kBFloat16) : x;
}

void Multiply(const at::Tensor& x, const at::Tensor& matrix, Factors factors,
              bool accumulate, at::Tensor& out) {
  if (factors == Factors::kInt16)
    return Int16Product(x, matrix, accumulate, out);
  SumOfProducts({{x, matrix}}, accumulate, out);
}

// True where the weight is multiplied as it is, without tiles of x's dtype.
bool FitsWhole(const at::Tensor& x, const FrozenWeight& weight) {
  return !weight.blocks() &&
         (weight.tensor().scalar_type() == x.scalar_type() ||
          PacksWell({x, weight.tensor()}));
}

// Calls use(first row, rows) for all rows of `weight`, as they are multiplied
// by x.
template <typename Use>
void ForEachPart(const FrozenWeight& weight, const at::Tensor& x, Use&& use) {
  if (FitsWhole(x, weight)) return use(0, weight.tensor());
  ForEachTile(weight, x.scalar_type(), use);
}

// y = x W^T + the sum of `more`.
void MultiplyTransposed(const at::Tensor& x, const FrozenWeight& weight,
                        Factors factors, std::vector<ProductTerm> more,
                        at::Tensor& y) {
  if (factors != Factors::kInt16 && FitsWhole(x, weight)) {
    more.insert(more.begin(), {x, weight.tensor().t()});
    return SumOfProducts(more, /*accumulate=*/false, y);
  }
  ForEachPart(weight, x, [&](int64_t from, const at::Tensor& part) {
    at::Tensor columns = y.narrow(1, from, part.size(0));
    Multiply(x, part.t(), factors, /*accumulate=*/false, columns);
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

bool PrefersSixteenBits() { return MultipliesBfloat16() || PrefersPacking(); }

at::Tensor TimesTransposed(const at::Tensor& x, const FrozenWeight& weight,
                           const std::vector<ProductTerm>& more) {
  at::Tensor y = at::empty({x.size(0), weight.rows()}, x.options());
  TimesTransposedInto(y, x, weight, more);
  return y;
}

void TimesTransposedInto(at::Tensor& product, const at::Tensor& x,
                         const FrozenWeight& weight,
                         const std::vector<ProductTerm>& more) {
  const Factors factors = FastestFactors(x, weight);
  MultiplyTransposed(InFactorType(x, factors), weight, factors, more, product);
}

at::Tensor TimesTransposedExactly(const at::Tensor& x,
                                  const FrozenWeight& weight) {
  at::Tensor y = at::empty({x.size(0), weight.rows()}, x.options());
  MultiplyTransposed(x, weight, Factors::kExact, {}, y);
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
  const Factors factors = FastestFactors(x, weight);
  const at::Tensor rows = InFactorType(x, factors);
  ForEachPart(weight, rows, [&](int64_t from, const at::Tensor& part) {
    Multiply(rows.narrow(1, from, part.size(0)), part, factors,
             /*accumulate=*/true, sum);
  });
}

}  // namespace tandem
