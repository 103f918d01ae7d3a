// The states of a run and of its rounds, and the one function that moves a
// round from one to the next.
//
//   SELECTING -> COLLECTING -> AGGREGATING -> (DISTILLING) -> EVALUATING
//     -> COMMITTED
//   any of them but COMMITTED -> FAILED (the run ends) or ABANDONED (the round
//   is drawn again)
#ifndef TANDEM_SERVER_ROUND_STATE_H_
#define TANDEM_SERVER_ROUND_STATE_H_

#include <functional>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tandem {

enum class RoundState {
  kSelecting,
  kCollecting,
  kAggregating,
  kDistilling,
  kEvaluating,
  kCommitted,
  kFailed,
  kAbandoned,
};
enum class RunState { kRunning, kFinished, kFailed, kBudgetExhausted };

// "SELECTING", "BUDGET_EXHAUSTED", ...: what databases and people read.
std::string_view NameOf(RoundState state);
std::string_view NameOf(RunState state);
// DataLoss for an unknown name: they come from the state database.
StatusOr<RoundState> ParseRoundState(std::string_view name);
StatusOr<RunState> ParseRunState(std::string_view name);

// COMMITTED, FAILED and ABANDONED have no successor.
bool IsFinal(RoundState state);
bool IsLegalTransition(RoundState from, RoundState to);

class StateStore;
struct RoundRow;

// Moves `round` to `to` and stores it, in one transaction with whatever `also`
// does; `also` (it may be empty) may change other fields of the row that it is
// given. FailedPrecondition, naming both states, where the move is not legal.
// In case of an error neither `round` nor the store has changed. REQUIRES: the
// row is stored already; no transaction is open.
Status ChangeRoundState(StateStore& store, RoundRow& round, RoundState to,
                        const std::function<Status(RoundRow&)>& also = {});

}  // namespace tandem

#endif  // TANDEM_SERVER_ROUND_STATE_H_
