#include "model/gemm_peak.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "model/aten.h"
#include "model/int16_product.h"
#include "model/packed_product.h"
#include "model/stopwatch.h"

namespace tandem {
namespace {

using Matrix = const at::Tensor&;

// Of multiply(a, b) for square matrices, b with its columns' elements next to
// each other, as a weight's are: LibTorch emulates bf16 a good deal faster so.
template <typename Multiply>
double PeakOf(at::ScalarType dtype, Multiply&& multiply) {
  constexpr int64_t kLargest = 2048;
  constexpr double kEnoughSeconds = 5e-3, kTotalSeconds = 0.3;
  const at::NoGradGuard no_grad;
  double peak = 0;
  int64_t size = 256;
  for (const Stopwatch total; total.Seconds() < kTotalSeconds;) {
    const at::Tensor a = at::ones({size, size}, dtype);
    const at::Tensor b = at::ones({size, size}, dtype).t();
    const Stopwatch watch;
    multiply(a, b);
    const double seconds = watch.Seconds();
    const double edge = static_cast<double>(size);
    peak = std::max(peak, 2e-9 * edge * edge * edge / seconds);
    // Large enough to be fast, small enough for many trials.
    if (seconds < kEnoughSeconds && size < kLargest) size *= 2;
  }
  return peak;
}

double Int16Peak() {
  return PeakOf(at::kFloat, [](Matrix a, Matrix b) {
    at::Tensor product = at::empty_like(a);
    Int16Product(a, b, /*accumulate=*/false, product);
  });
}

}  // namespace

std::vector<std::string> GemmTypes() {
  std::vector<std::string> types = {"Float", "BFloat16"};
  if (PrefersPacking()) types.push_back("Int16");
  return types;
}

double PeakGemmGflops(const std::string& type) {
  if (type == "Int16") return Int16Peak();
  const bool is_float = type == "Float";
  const double libtorch = PeakOf(is_float ? at::kFloat : at::kBFloat16,
                                 [](Matrix a, Matrix b) { at::mm(a, b); });
  // Elsewhere our own product is LibTorch's.
  if (!is_float || !PrefersPacking()) return libtorch;
  return std::max(
      libtorch, PeakOf(at::kFloat, [](Matrix a, Matrix b) { Product(a, b); }));
}

}  // namespace tandem
