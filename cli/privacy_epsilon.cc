// tandem privacy epsilon
#include <memory>

#include "cli/command.h"
#include "privacy/rdp_accountant.h"

namespace tandem::cli {
namespace {

struct PrivacyEpsilonFlags {
  double noise_multiplier = 1;
  double sampling_rate = 1;
  int64_t steps = 1;
  double delta = 1e-5;
};

Status PrivacyEpsilonMain(const PrivacyEpsilonFlags& flags) {
  RdpAccountant accountant;
  TANDEM_RETURN_IF_ERROR(accountant.Compose(flags.noise_multiplier,
                                            flags.sampling_rate, flags.steps));
  TANDEM_ASSIGN_OR_RETURN(const PrivacyGuarantee guarantee,
                          accountant.Guarantee(flags.delta));
  PrintJson({{"epsilon", guarantee.epsilon},
             {"delta", guarantee.delta},
             {"accountant", "rdp"},
             {"order", guarantee.order},
             {"mechanism", "Poisson-subsampled Gaussian"},
             {"adjacency", "add/remove"}});
  return OkStatus();
}

}  // namespace

void AddPrivacyEpsilon(CLI::App& privacy, Chosen& chosen) {
  auto flags = std::make_shared<PrivacyEpsilonFlags>();
  CLI::App* command = AddCommand(
      privacy, "epsilon",
      "Epsilon of a number of releases of the Poisson-subsampled Gaussian "
      "mechanism, as JSON",
      "tandem privacy epsilon --noise-multiplier 1.1 --sampling-rate 0.01 "
      "--steps 1000 --delta 1e-5",
      chosen, [flags] { return PrivacyEpsilonMain(*flags); });
  command
      ->add_option("--noise-multiplier", flags->noise_multiplier,
                   "Standard deviation of the noise over the clip norm")
      ->required();
  command
      ->add_option("--sampling-rate", flags->sampling_rate,
                   "Probability of each client to take part; 1: all do")
      ->required();
  command->add_option("--steps", flags->steps, "Number of releases")
      ->required();
  command->add_option("--delta", flags->delta, "Between 0 and 1")->required();
  AddJsonFlagWithoutEffect(*command);
}

}  // namespace tandem::cli
