// Which auxiliary examples are used when: a seeded order of them, cut into one
// part for the initial distillation, one for each round's, one for clients.
#ifndef TANDEM_SERVER_AUXILIARY_SCHEDULE_H_
#define TANDEM_SERVER_AUXILIARY_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "proto/config.pb.h"

namespace tandem {

class AuxiliarySchedule {
 public:
  // Every part holds what its steps take, so that no example repeats within a
  // run whose file is large enough.
  explicit AuxiliarySchedule(const proto::ServerConfig& config);

  // Examples that the whole run takes; 0 where distillation is off.
  int64_t size() const { return initial_ + rounds_ * per_round_ + clients_; }
  // Positions below `available`, each at most once; parts wrap around where
  // there are fewer examples than size(). REQUIRES: available > 0.
  std::vector<int64_t> Initial(int64_t available) const;
  std::vector<int64_t> Round(int64_t round, int64_t available) const;
  std::vector<int64_t> Clients(int64_t available) const;

 private:
  static std::vector<int64_t> Part(int64_t begin, int64_t count,
                                   int64_t available);
  int64_t initial_ = 0;
  int64_t rounds_ = 0;
  int64_t per_round_ = 0;
  int64_t clients_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_AUXILIARY_SCHEDULE_H_
