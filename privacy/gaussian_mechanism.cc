#include "privacy/gaussian_mechanism.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace tandem {
namespace {

Status CheckPositive(const char* field, double value) {
  if (std::isfinite(value) && value > 0) return OkStatus();
  return InvalidArgument("{} is {}, expected a finite number above 0", field,
                         value);
}

}  // namespace

Status ValidateGaussianOptions(const GaussianOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckPositive("clip_norm_l2", options.clip_norm_l2));
  TANDEM_RETURN_IF_ERROR(
      CheckPositive("noise_multiplier", options.noise_multiplier));
  return CheckPositive("expected_clients", options.expected_clients);
}

double ClipFactor(double norm_l2, double clip_norm_l2) {
  if (!std::isfinite(norm_l2)) return 0;
  return norm_l2 <= clip_norm_l2 ? 1 : clip_norm_l2 / norm_l2;
}

void ReleaseNoisyMean(std::span<double> sum, const GaussianOptions& options,
                      NoiseSource& noise) {
  const double deviation = options.noise_multiplier * options.clip_norm_l2;
  std::array<double, 4096> draws;
  for (size_t begin = 0; begin < sum.size(); begin += draws.size()) {
    const size_t count = std::min(draws.size(), sum.size() - begin);
    noise.FillNormal(std::span(draws).first(count));
    for (size_t i = 0; i < count; ++i) {
      sum[begin + i] =
          (sum[begin + i] + deviation * draws[i]) / options.expected_clients;
    }
  }
}

}  // namespace tandem
