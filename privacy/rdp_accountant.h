// Renyi differential privacy of the Poisson-subsampled Gaussian mechanism, at
// integer orders.
//
// RDP at order a (Mironov, Talwar, Zhang 2019): log sum_k C(a,k) (1-q)^(a-k)
// q^k exp((k^2-k) / (2 z^2)) / (a-1). Conversion (Canonne, Kamath, Steinke
// 2020): eps = RDP + log((a-1)/a) - (log delta + log a) / (a-1), at the best
// order.
#ifndef TANDEM_PRIVACY_RDP_ACCOUNTANT_H_
#define TANDEM_PRIVACY_RDP_ACCOUNTANT_H_

#include <cstdint>
#include <vector>

#include "common/status.h"

namespace tandem {

struct PrivacyGuarantee {
  double epsilon = 0;
  double delta = 0;
  int64_t order = 0;  // the Renyi order that gave epsilon
};

// Integer orders 2 .. 63, then powers of two to 1024.
const std::vector<int64_t>& DefaultOrders();

// RDP of one release at integer order `order` >= 2. sampling_rate 1 is the
// plain Gaussian: order / (2 z^2); 0 gives 0.
double SubsampledGaussianRdp(double noise_multiplier, double sampling_rate,
                             int64_t order);

class RdpAccountant {
 public:
  explicit RdpAccountant(std::vector<int64_t> orders = DefaultOrders());
  // `count` more releases. InvalidArgument: noise_multiplier not finite or <=
  // 0, sampling_rate outside [0, 1], count < 0.
  Status Compose(double noise_multiplier, double sampling_rate,
                 int64_t count = 1);
  // InvalidArgument: delta outside (0, 1). Epsilon is never below 0.
  StatusOr<PrivacyGuarantee> Guarantee(double delta) const;

 private:
  std::vector<int64_t> orders_;
  std::vector<double> rdp_;
};

}  // namespace tandem

#endif  // TANDEM_PRIVACY_RDP_ACCOUNTANT_H_
