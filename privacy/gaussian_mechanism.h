// The Gaussian mechanism on a sum of clipped client updates (DP-FedAvg, McMahan
// et al. 2018).
//
// Unit of privacy: one client (all of its data). Adjacency: add or remove one
// client. The sum is divided by a fixed expected number of clients, never by
// the actual one, which would itself depend on who took part.
#ifndef TANDEM_PRIVACY_GAUSSIAN_MECHANISM_H_
#define TANDEM_PRIVACY_GAUSSIAN_MECHANISM_H_

#include <span>

#include "common/status.h"
#include "privacy/secure_random.h"

namespace tandem {

struct GaussianOptions {
  double clip_norm_l2 = 1;  // C: sensitivity of the sum
  double noise_multiplier =
      1;  // z: noise has standard deviation z * C per coordinate
  double expected_clients = 1;  // the fixed denominator, q N
};
// InvalidArgument, naming the field: not finite or not positive.
Status ValidateGaussianOptions(const GaussianOptions& options);

// min(1, C / norm); 1 for a norm of zero.
double ClipFactor(double norm_l2, double clip_norm_l2);

// sum <- (sum + N(0, (z C)^2)) / expected_clients, in place. REQUIRES: valid
// options, each summand's norm at most C.
void ReleaseNoisyMean(std::span<double> sum, const GaussianOptions& options,
                      NoiseSource& noise);

}  // namespace tandem

#endif  // TANDEM_PRIVACY_GAUSSIAN_MECHANISM_H_
