#include "privacy/rdp_accountant.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace tandem {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// log(exp(x) - 1) for x >= 0, without overflow.
double LogExpm1(double x) {
  return x < 1 ? std::log(std::expm1(x)) : x + std::log1p(-std::exp(-x));
}

// log(1 + exp(x)), without overflow.
double LogOnePlusExp(double x) {
  return x < 0 ? std::log1p(std::exp(x)) : x + std::log1p(std::exp(-x));
}

double LogSumExp(const std::vector<double>& terms) {
  const double largest = *std::max_element(terms.begin(), terms.end());
  if (std::isinf(largest)) return largest;
  double sum = 0;
  for (double term : terms) sum += std::exp(term - largest);
  return largest + std::log(sum);
}

// The order's term of the conversion. Where the divergence bounds the total
// variation distance by delta (Bretagnolle and Huber 1979:
// TV <= sqrt(1 - exp(-KL)), KL <= RDP), epsilon is 0.
double EpsilonAtOrder(double rdp, double order, double delta) {
  if (delta * delta + std::expm1(-rdp) >= 0) return 0;
  const double epsilon = rdp + std::log1p(-1 / order) -
                         (std::log(delta) + std::log(order)) / (order - 1);
  return std::max(0.0, epsilon);
}

}  // namespace

const std::vector<int64_t>& DefaultOrders() {
  static const std::vector<int64_t> orders = [] {
    std::vector<int64_t> result;
    for (int64_t order = 2; order < 64; ++order) result.push_back(order);
    for (int64_t order = 64; order <= 1024; order *= 2) result.push_back(order);
    return result;
  }();
  return orders;
}

// The binomial weights sum to one, so that the formula's sum is
// 1 + sum_{k>=2} C(a,k) (1-q)^(a-k) q^k (exp((k^2-k) / (2 z^2)) - 1), all terms
// positive. Their logarithms lose nothing, however close to 1 the sum is.
double SubsampledGaussianRdp(double noise_multiplier, double sampling_rate,
                             int64_t order) {
  if (sampling_rate == 0) return 0;
  const auto a = static_cast<double>(order);
  const double variance = noise_multiplier * noise_multiplier;
  if (sampling_rate == 1) return a / (2 * variance);
  std::vector<double> terms;
  terms.reserve(static_cast<size_t>(order));
  double log_binomial = std::log(a);  // of C(a, 1)
  for (int64_t i = 2; i <= order; ++i) {
    const auto k = static_cast<double>(i);
    log_binomial += std::log((a - k + 1) / k);
    terms.push_back(log_binomial + (a - k) * std::log1p(-sampling_rate) +
                    k * std::log(sampling_rate) +
                    LogExpm1(k * (k - 1) / (2 * variance)));
  }
  return LogOnePlusExp(LogSumExp(terms)) / (a - 1);
}

RdpAccountant::RdpAccountant(std::vector<int64_t> orders)
    : orders_(std::move(orders)), rdp_(orders_.size(), 0.0) {}

Status RdpAccountant::Compose(double noise_multiplier, double sampling_rate,
                              int64_t count) {
  if (!std::isfinite(noise_multiplier) || noise_multiplier <= 0) {
    return InvalidArgument(
        "noise_multiplier is {}, expected a finite number above 0",
        noise_multiplier);
  }
  if (!(sampling_rate >= 0 && sampling_rate <= 1)) {
    return InvalidArgument("sampling_rate is {}, expected 0 to 1",
                           sampling_rate);
  }
  if (count < 0) {
    return InvalidArgument("count of releases is {}, expected 0 or more",
                           count);
  }
  if (count == 0) return OkStatus();
  for (size_t i = 0; i < orders_.size(); ++i) {
    rdp_[i] +=
        static_cast<double>(count) *
        SubsampledGaussianRdp(noise_multiplier, sampling_rate, orders_[i]);
  }
  return OkStatus();
}

StatusOr<PrivacyGuarantee> RdpAccountant::Guarantee(double delta) const {
  if (!(delta > 0 && delta < 1)) {
    return InvalidArgument("delta is {}, expected a number between 0 and 1",
                           delta);
  }
  PrivacyGuarantee best{kInfinity, delta, orders_.front()};
  for (size_t i = 0; i < orders_.size(); ++i) {
    const double epsilon =
        EpsilonAtOrder(rdp_[i], static_cast<double>(orders_[i]), delta);
    if (epsilon < best.epsilon) best = {epsilon, delta, orders_[i]};
  }
  return best;
}

}  // namespace tandem
