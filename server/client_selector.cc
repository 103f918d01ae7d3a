#include "server/client_selector.h"

#include <algorithm>

namespace tandem {
namespace {

std::vector<std::string> SelectFixed(const SelectorOptions& options,
                                     const std::vector<std::string>& clients,
                                     SeededRandom& random) {
  const auto size = static_cast<int64_t>(clients.size());
  if (options.cohort_size == 0 || options.cohort_size >= size) return clients;
  const std::vector<int64_t> order = random.Permutation(size);
  std::vector<std::string> cohort;
  cohort.reserve(options.cohort_size);
  for (int64_t i = 0; i < options.cohort_size; ++i) {
    cohort.push_back(clients[static_cast<size_t>(order[i])]);
  }
  return cohort;
}

std::vector<std::string> SelectPoisson(const SelectorOptions& options,
                                       const std::vector<std::string>& clients,
                                       SeededRandom& random) {
  std::vector<std::string> cohort;
  for (const std::string& client : clients) {
    if (random.Uniform() < options.sampling_rate) cohort.push_back(client);
  }
  return cohort;
}

constexpr ClientSelector kSelectors[] = {{"fixed", SelectFixed},
                                         {"poisson", SelectPoisson}};

Status Validate(const SelectorOptions& options) {
  if (options.cohort_size < 0) {
    return InvalidArgument("rounds.cohort_size is {}, expected at least 0",
                           options.cohort_size);
  }
  if (!(options.sampling_rate >= 0 && options.sampling_rate <= 1)) {
    return InvalidArgument("rounds.sampling_rate is {}, expected 0 to 1",
                           options.sampling_rate);
  }
  return OkStatus();
}

}  // namespace

std::span<const ClientSelector> ClientSelectors() { return kSelectors; }

StatusOr<std::vector<std::string>> SelectClients(
    const SelectorOptions& options, std::vector<std::string> clients,
    uint64_t seed) {
  TANDEM_RETURN_IF_ERROR(Validate(options));
  std::sort(clients.begin(), clients.end());
  clients.erase(std::unique(clients.begin(), clients.end()), clients.end());
  std::string known;
  for (const ClientSelector& selector : kSelectors) {
    if (selector.name == options.name) {
      SeededRandom random(seed);
      auto cohort = selector.select(options, clients, random);
      std::sort(cohort.begin(), cohort.end());
      return cohort;
    }
    known += (known.empty() ? "" : ", ") + std::string(selector.name);
  }
  return InvalidArgument("rounds.selector is '{}', expected one of: {}",
                         options.name, known);
}

uint64_t SelectionSeed(uint64_t root, int64_t round, int64_t draw) {
  const uint64_t seed =
      DeriveSeed(root, "selection", static_cast<uint64_t>(round));
  return draw == 0 ? seed
                   : DeriveSeed(seed, "redraw", static_cast<uint64_t>(draw));
}

}  // namespace tandem
