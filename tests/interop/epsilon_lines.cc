// The accountant as test_accountant.py asks it, many questions a process.
// Reads lines "NOISE RATE STEPS DELTA" and prints for each the epsilon in 17
// digits, which name one double.
#include <cstdlib>
#include <iomanip>
#include <iostream>

#include "privacy/rdp_accountant.h"

namespace tandem {
namespace {

StatusOr<double> Epsilon(double noise, double rate, int64_t steps,
                         double delta) {
  RdpAccountant accountant;
  TANDEM_RETURN_IF_ERROR(accountant.Compose(noise, rate, steps));
  TANDEM_ASSIGN_OR_RETURN(const PrivacyGuarantee guarantee,
                          accountant.Guarantee(delta));
  return guarantee.epsilon;
}

}  // namespace
}  // namespace tandem

int main() {
  double noise = 0, rate = 0, delta = 0;
  int64_t steps = 0;
  while (std::cin >> noise >> rate >> steps >> delta) {
    const auto epsilon = tandem::Epsilon(noise, rate, steps, delta);
    if (!epsilon.ok()) {
      std::cerr << tandem::ToString(epsilon.status()) << "\n";
      return EXIT_FAILURE;
    }
    std::cout << std::setprecision(17) << *epsilon << "\n";
  }
  return EXIT_SUCCESS;
}
