#include "server/aggregation_rule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "model/aten.h"
#include "server/delta_blocks.h"
#include "server/delta_check.h"

namespace tandem {
namespace {

constexpr std::array<AggregationRule, 2> kRules = {{
    {.name = "fedavg", .freezes_lora_a = false},
    {.name = "ffa", .freezes_lora_a = true},
}};

// The tensors that a rule trains, in the order of names.
struct Trained {
  std::vector<std::string> names;
  TensorList tensors;
};

Trained TrainedTensors(const AggregationRule& rule, const TensorMap& global) {
  Trained trained;
  for (const auto& [name, tensor] : global) {
    if (rule.freezes_lora_a && IsLoraA(name)) continue;
    trained.names.push_back(name);
    trained.tensors.push_back(tensor);
  }
  return trained;
}

// One client's part in the sum.
struct Summand {
  TensorList tensors;
  double norm_l2 = 0;
};

StatusOr<Summand> CheckedSummand(const AggregationRule& rule,
                                 const TensorMap& global,
                                 const Trained& trained,
                                 const ClientUpdate& update) {
  if (!std::isfinite(update.weight) || update.weight <= 0) {
    return InvalidArgument("weight is {}, expected a finite number above 0",
                           update.weight);
  }
  TANDEM_RETURN_IF_ERROR(CheckDelta(global, update.delta, rule.freezes_lora_a));
  Summand summand;
  for (const std::string& name : trained.names) {
    summand.tensors.push_back(update.delta.at(name).contiguous());
  }
  summand.norm_l2 = std::sqrt(SumOfSquares(summand.tensors));
  if (!std::isfinite(summand.norm_l2)) {
    return InvalidArgument("the update contains NaN or infinity");
  }
  return summand;
}

using SortedUpdates = std::vector<const ClientUpdate*>;

StatusOr<SortedUpdates> SortById(std::span<const ClientUpdate> updates) {
  SortedUpdates sorted;
  for (const ClientUpdate& update : updates) sorted.push_back(&update);
  std::sort(sorted.begin(), sorted.end(),
            [](const ClientUpdate* a, const ClientUpdate* b) {
              return a->client_id < b->client_id;
            });
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i - 1]->client_id != sorted[i]->client_id) continue;
    return InvalidArgument("client '{}' has more than one update",
                           sorted[i]->client_id);
  }
  return sorted;
}

Status CheckOptions(const AggregationOptions& options, size_t updates,
                    const NoiseSource* noise) {
  if (!options.privacy) {
    return updates > 0 ? OkStatus()
                       : InvalidArgument("there are no updates to aggregate");
  }
  if (noise == nullptr) {
    return InvalidArgument("private aggregation needs a noise source");
  }
  return ValidateGaussianOptions(*options.privacy);
}

TensorMap ToFloatTensors(const Trained& trained,
                         const std::vector<std::vector<double>>& values) {
  TensorMap result;
  for (size_t t = 0; t < values.size(); ++t) {
    at::Tensor tensor = at::empty(trained.tensors[t].sizes(), at::kFloat);
    std::transform(values[t].begin(), values[t].end(),
                   tensor.mutable_data_ptr<float>(),
                   [](double value) { return static_cast<float>(value); });
    result.emplace(trained.names[t], std::move(tensor));
  }
  return result;
}

// sum_i w_i delta_i / sum_i w_i.
StatusOr<TensorMap> WeightedMean(const Trained& trained,
                                 const std::vector<TensorList>& deltas,
                                 const std::vector<double>& weights) {
  double total = 0;
  for (double weight : weights) total += weight;
  if (!std::isfinite(total)) {
    return InvalidArgument("the sum of the clients' weights is not finite");
  }
  auto sums = WeightedSums(trained.tensors, deltas, weights);
  for (std::vector<double>& sum : sums) {
    for (double& value : sum) value /= total;
  }
  return ToFloatTensors(trained, sums);
}

// (sum_i clip(delta_i) + noise) / expected_clients.
TensorMap PrivateMean(const Trained& trained,
                      const std::vector<TensorList>& deltas,
                      const std::vector<double>& clip_factors,
                      const GaussianOptions& privacy, NoiseSource& noise) {
  auto sums = WeightedSums(trained.tensors, deltas, clip_factors);
  for (std::vector<double>& sum : sums) ReleaseNoisyMean(sum, privacy, noise);
  return ToFloatTensors(trained, sums);
}

}  // namespace

std::span<const AggregationRule> AggregationRules() { return kRules; }

StatusOr<AggregationRule> FindAggregationRule(std::string_view name) {
  std::string known;
  for (const AggregationRule& rule : kRules) {
    if (rule.name == name) return rule;
    known += (known.empty() ? "" : ", ") + std::string(rule.name);
  }
  return InvalidArgument("unknown aggregation rule '{}', known are: {}", name,
                         known);
}

StatusOr<TensorMap> Aggregate(const AggregationOptions& options,
                              const TensorMap& global,
                              std::span<const ClientUpdate> updates,
                              NoiseSource* noise) {
  TANDEM_ASSIGN_OR_RETURN(const AggregationRule rule,
                          FindAggregationRule(options.rule));
  TANDEM_RETURN_IF_ERROR(CheckOptions(options, updates.size(), noise));
  TANDEM_ASSIGN_OR_RETURN(const SortedUpdates sorted, SortById(updates));
  const Trained trained = TrainedTensors(rule, global);
  std::vector<TensorList> deltas;
  std::vector<double> factors;
  for (const ClientUpdate* update : sorted) {
    auto summand = CheckedSummand(rule, global, trained, *update);
    if (!summand.ok()) {
      return Annotate(summand.status(), "client '" + update->client_id + "'");
    }
    deltas.push_back(std::move(summand->tensors));
    factors.push_back(
        options.privacy
            ? ClipFactor(summand->norm_l2, options.privacy->clip_norm_l2)
            : update->weight);
  }
  if (!options.privacy) return WeightedMean(trained, deltas, factors);
  return PrivateMean(trained, deltas, factors, *options.privacy, *noise);
}

}  // namespace tandem
