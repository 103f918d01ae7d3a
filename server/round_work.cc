#include "server/round_work.h"

#include <utility>

#include "model/safetensors.h"

namespace tandem {

StatusOr<TensorMap> LoadTensors(const ObjectStore& objects,
                                const std::string& sha256) {
  TANDEM_ASSIGN_OR_RETURN(const std::filesystem::path path,
                          objects.Path(sha256));
  TANDEM_ASSIGN_OR_RETURN(Safetensors file, ReadSafetensors(path));
  return std::move(file.tensors);
}

StatusOr<std::string> StoreTensors(ObjectStore& objects,
                                   const TensorMap& tensors) {
  TANDEM_ASSIGN_OR_RETURN(const std::string bytes,
                          SerializeSafetensors(tensors));
  TANDEM_ASSIGN_OR_RETURN(const proto::ObjectRef ref, objects.PutBytes(bytes));
  return ref.sha256();
}

StatusOr<AggregationResult> AggregateRound(ObjectStore& objects,
                                           const AggregationWork& work,
                                           NoiseSource* noise) {
  TANDEM_ASSIGN_OR_RETURN(const TensorMap global,
                          LoadTensors(objects, work.global_adapter));
  std::vector<ClientUpdate> updates;
  for (const ContributionRow& contribution : work.contributions) {
    ClientUpdate& update = updates.emplace_back();
    update.client_id = contribution.client_id;
    update.weight = contribution.weight;
    TANDEM_ASSIGN_OR_RETURN(update.delta,
                            LoadTensors(objects, contribution.update));
  }
  TANDEM_ASSIGN_OR_RETURN(const TensorMap mean_delta,
                          Aggregate(work.aggregation, global, updates, noise));
  TensorMap state;
  if (!work.optimizer_state.empty()) {
    TANDEM_ASSIGN_OR_RETURN(state, LoadTensors(objects, work.optimizer_state));
  }
  TANDEM_ASSIGN_OR_RETURN(
      ServerStep step,
      ApplyServerOptimizer(work.optimizer, state, global, mean_delta));
  AggregationResult result{std::move(step.adapter), ""};
  if (!step.state.empty()) {
    TANDEM_ASSIGN_OR_RETURN(result.optimizer_state,
                            StoreTensors(objects, step.state));
  }
  return result;
}

}  // namespace tandem
