#include "server/auxiliary_schedule.h"

#include <algorithm>

#include "server/run_config.h"

namespace tandem {

AuxiliarySchedule::AuxiliarySchedule(const proto::ServerConfig& config) {
  const auto& distillation = config.distillation();
  if (!distillation.enabled()) return;
  const int64_t batch = distillation.batch_size();
  initial_ = distillation.initial_steps() * batch;
  rounds_ = config.rounds().count();
  per_round_ = distillation.steps_per_round() * batch;
  if (ClientDistillationWeight(config) > 0) {
    clients_ = distillation.client_examples();
  }
}

std::vector<int64_t> AuxiliarySchedule::Initial(int64_t available) const {
  return Part(0, initial_, available);
}

std::vector<int64_t> AuxiliarySchedule::Round(int64_t round,
                                              int64_t available) const {
  return Part(initial_ + (round - 1) * per_round_, per_round_, available);
}

std::vector<int64_t> AuxiliarySchedule::Clients(int64_t available) const {
  return Part(initial_ + rounds_ * per_round_, clients_, available);
}

std::vector<int64_t> AuxiliarySchedule::Part(int64_t begin, int64_t count,
                                             int64_t available) {
  std::vector<int64_t> positions(std::min(count, available));
  for (size_t i = 0; i < positions.size(); ++i) {
    positions[i] = (begin + static_cast<int64_t>(i)) % available;
  }
  return positions;
}

}  // namespace tandem
