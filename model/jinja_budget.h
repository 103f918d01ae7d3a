// What one rendering may cost. Templates come from files that anybody may have
// written: without a bound, nested loops and self-doubling strings never end.
#ifndef TANDEM_MODEL_JINJA_BUDGET_H_
#define TANDEM_MODEL_JINJA_BUDGET_H_

#include <cstdint>

#include "common/status.h"

namespace tandem::jinja {

class Budget {
 public:
  // A unit is a byte written or compared.
  explicit Budget(int64_t units) : total_(units), left_(units) {}

  // InvalidArgument once everything is spent, and from then on.
  Status Spend(size_t units) {
    if (units <= static_cast<uint64_t>(left_)) {
      left_ -= static_cast<int64_t>(units);
      return OkStatus();
    }
    left_ = 0;
    return InvalidArgument("rendering takes more than {} units of work",
                           total_);
  }

 private:
  int64_t total_;
  int64_t left_;
};

// The cost of evaluating a node or making a list's item, whatever it does.
constexpr size_t kNodeUnits = 16;

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_BUDGET_H_
