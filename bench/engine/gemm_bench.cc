// The machine's peak: LibTorch's matrix product, at a comfortable size and at
// those of a training step.
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>

#include "bench/engine/workload.h"
#include "model/aten.h"

namespace tandem::bench {
namespace {

// Rows x inner times inner x columns; the last two are SmolLM2's feed-forward
// block on 1024 tokens.
constexpr std::array<std::array<int64_t, 3>, 3> kShapes = {
    {{2048, 2048, 2048}, {1024, 576, 1536}, {1024, 1536, 576}}};

Measurement TimeProduct(const std::array<int64_t, 3>& shape,
                        at::ScalarType dtype) {
  const auto [rows, inner, columns] = shape;
  const at::Tensor x = at::randn({rows, inner}).to(dtype);
  const at::Tensor w = at::randn({columns, inner}).to(dtype);
  const double flops = 2.0 * static_cast<double>(rows * inner * columns);
  at::mm(x, w.t());
  const double once = SecondsOf([&] { at::mm(x, w.t()); });
  const int times = std::clamp(static_cast<int>(0.2 / once), 1, 1000);
  const double seconds = SecondsOf([&] {
    for (int i = 0; i < times; ++i) at::mm(x, w.t());
  });
  return {flops * times, seconds};
}

}  // namespace

Status BenchGemm(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const WeightStorage storage,
                          ParseComputeDtype(flags.dtype));
  const c10::InferenceMode inference;
  Repeat(flags.repetitions, "flops", SettingsOf(flags), [&] {
    Measurement best;
    for (const auto& shape : kShapes) {
      const Measurement measured = TimeProduct(shape, storage.dtype);
      if (best.seconds == 0 ||
          measured.units / measured.seconds > best.units / best.seconds)
        best = measured;
    }
    return best;
  });
  return OkStatus();
}

}  // namespace tandem::bench
