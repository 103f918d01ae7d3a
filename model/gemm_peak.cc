#include "model/gemm_peak.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "model/aten.h"
#include "model/int16_product.h"
#include "model/packed_product.h"

namespace tandem {
namespace {

using Matrix = const at::Tensor&;
using PeakClock = std::chrono::steady_clock;

double SecondsSince(PeakClock::time_point start) {
  return std::chrono::duration<double>(PeakClock::now() - start).count();
}

// Of multiply(a, b) for square matrices, b with its columns' elements next to
// each other, as a weight's are: LibTorch emulates bf16 a good deal faster so.
template <typename Multiply>
double PeakOf(at::ScalarType dtype, Multiply&& multiply) {
  constexpr int64_t kLargest = 2048;
  constexpr double kEnoughSeconds = 5e-3, kTotalSeconds = 0.3;
  const at::NoGradGuard no_grad;
  double peak = 0;
  int64_t size = 256;
  for (const auto start = PeakClock::now();
       SecondsSince(start) < kTotalSeconds;) {
    const at::Tensor a = at::ones({size, size}, dtype);
    const at::Tensor b = at::ones({size, size}, dtype).t();
    const auto begin = PeakClock::now();
    multiply(a, b);
    const double seconds = SecondsSince(begin);
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
  const at::ScalarType dtype = type == "Float" ? at::kFloat : at::kBFloat16;
  return std::max(PeakOf(dtype, [](Matrix a, Matrix b) { at::mm(a, b); }),
                  PeakOf(dtype, [](Matrix a, Matrix b) { Product(a, b); }));
}

}  // namespace tandem
