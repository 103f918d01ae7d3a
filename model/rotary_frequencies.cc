#include "model/rotary_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tandem {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

std::vector<float> UnscaledFrequencies(int64_t head_size, double theta) {
  std::vector<float> frequencies(head_size / 2);
  for (int64_t i = 0; i < head_size / 2; ++i) {
    frequencies[i] = 1.0f / std::pow(static_cast<float>(theta),
                                     static_cast<float>(2 * i) /
                                         static_cast<float>(head_size));
  }
  return frequencies;
}

double Divisor(double frequency, const RopeScaling& s) {
  if (s.type == RopeScaling::Type::kNone) return 1;
  if (s.type == RopeScaling::Type::kLinear) return s.factor;
  const double waves =
      static_cast<double>(s.original_context_length) * frequency / kTurn;
  const double kept =
      std::clamp((waves - s.low_frequency_factor) /
                     (s.high_frequency_factor - s.low_frequency_factor),
                 0.0, 1.0);
  return 1 / ((1 - kept) / s.factor + kept);
}

// Between the bands, kept = slope * frequency - offset with slope =
// original_context_length / turn / (high - low) and offset = low / (high -
// low).
struct Band {
  double slope, offset;
};

// The line through the first and the last frequency between the bands. Where
// there is but one, high_frequency_factor is taken to be 4, as all models have
// it.
StatusOr<Band> FitBand(const std::vector<float>& divisors,
                       const std::vector<float>& frequencies, double factor) {
  std::vector<std::pair<double, double>> points;  // frequency, kept
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double d = divisors[i];
    if (d <= 1 + 1e-6 || d >= factor * (1 - 1e-6)) continue;
    points.emplace_back(frequencies[i],
                        (1 / d - 1 / factor) / (1 - 1 / factor));
  }
  if (points.empty()) {
    return InvalidArgument("rope divisors do not say where their bands end");
  }
  const auto& [f, kept] = points.front();
  if (points.size() == 1) return Band{(kept + 1.0 / 3) / f, 1.0 / 3};
  const double slope =
      (points.back().second - kept) / (points.back().first - f);
  return Band{slope, slope * f - kept};
}

}  // namespace

std::vector<float> RotaryFrequencies(int64_t head_size, double theta,
                                     const RopeScaling& scaling) {
  std::vector<float> frequencies = UnscaledFrequencies(head_size, theta);
  for (float& f : frequencies) {
    f = static_cast<float>(f / Divisor(f, scaling));
  }
  return frequencies;
}

std::vector<float> RotaryDivisors(int64_t head_size, double theta,
                                  const RopeScaling& scaling) {
  std::vector<float> divisors = UnscaledFrequencies(head_size, theta);
  for (float& d : divisors) d = static_cast<float>(Divisor(d, scaling));
  return divisors;
}

StatusOr<RopeScaling> Llama3Scaling(const std::vector<float>& divisors,
                                    int64_t head_size, double theta) {
  if (static_cast<int64_t>(divisors.size()) != head_size / 2) {
    return InvalidArgument("{} rope divisors, expected {}", divisors.size(),
                           head_size / 2);
  }
  RopeScaling s{.type = RopeScaling::Type::kLlama3};
  s.factor = *std::max_element(divisors.begin(), divisors.end());
  TANDEM_ASSIGN_OR_RETURN(
      const Band band,
      FitBand(divisors, UnscaledFrequencies(head_size, theta), s.factor));
  const double spread = 1 / band.offset;  // high - low, where low is 1
  s.high_frequency_factor = std::round((1 + spread) * 100) / 100;
  const double context = std::round(band.slope * kTurn * spread);
  if (!(band.offset > 0 && spread < 1e6 && context >= 1 && context < 1e9)) {
    return InvalidArgument("rope divisors are not those of llama3");
  }
  s.original_context_length = static_cast<int64_t>(context);
  const std::vector<float> expected = RotaryDivisors(head_size, theta, s);
  for (size_t i = 0; i < divisors.size(); ++i) {
    if (std::abs(expected[i] - divisors[i]) <= 1e-4f * expected[i]) continue;
    return InvalidArgument("rope divisor {} is {}, not llama3's, {}", i,
                           divisors[i], expected[i]);
  }
  return s;
}

}  // namespace tandem
