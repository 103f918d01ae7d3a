// Who takes part in a round.
#ifndef TANDEM_SERVER_CLIENT_SELECTOR_H_
#define TANDEM_SERVER_CLIENT_SELECTOR_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/random.h"
#include "common/status.h"

namespace tandem {

struct SelectorOptions {
  std::string name = "fixed";
  int64_t cohort_size = 0;   // fixed: 0 takes everybody
  double sampling_rate = 1;  // poisson
};

// A way to draw a cohort out of `clients`, which come sorted and without
// repeats:
//   fixed:   min(cohort_size, clients) of them, without replacement
//   poisson: each independently with probability sampling_rate, so that the
//            cohort may be empty; what the privacy accountant's amplification
//            by subsampling assumes
struct ClientSelector {
  std::string_view name;
  std::vector<std::string> (*select)(const SelectorOptions& options,
                                     const std::vector<std::string>& clients,
                                     SeededRandom& random);
};
// The table of all selectors.
std::span<const ClientSelector> ClientSelectors();

// The cohort, sorted. `clients` in any order: the result depends on the set
// alone. InvalidArgument: an unknown selector (lists the known ones), a
// negative cohort_size, a sampling_rate outside [0, 1].
StatusOr<std::vector<std::string>> SelectClients(
    const SelectorOptions& options, std::vector<std::string> clients,
    uint64_t seed);

// The seed of a round's selection; every redraw has another. It follows from
// `root` (RunRow.selection_seed), which must therefore stay unknown to whomever
// amplification by subsampling is to protect against.
uint64_t SelectionSeed(uint64_t root, int64_t round, int64_t draw);

}  // namespace tandem

#endif  // TANDEM_SERVER_CLIENT_SELECTOR_H_
