#include "server/round_state.h"

#include <algorithm>
#include <array>
#include <utility>

#include "server/state_store.h"

namespace tandem {
namespace {

using enum RoundState;

constexpr std::array<std::pair<RoundState, std::string_view>, 8> kRoundNames{{
    {kSelecting, "SELECTING"},
    {kCollecting, "COLLECTING"},
    {kAggregating, "AGGREGATING"},
    {kDistilling, "DISTILLING"},
    {kEvaluating, "EVALUATING"},
    {kCommitted, "COMMITTED"},
    {kFailed, "FAILED"},
    {kAbandoned, "ABANDONED"},
}};
constexpr std::array<std::pair<RunState, std::string_view>, 4> kRunNames{{
    {RunState::kRunning, "RUNNING"},
    {RunState::kFinished, "FINISHED"},
    {RunState::kFailed, "FAILED"},
    {RunState::kBudgetExhausted, "BUDGET_EXHAUSTED"},
}};

// Beside these, every state that is not final may fail or be abandoned.
constexpr std::pair<RoundState, RoundState> kForward[] = {
    {kSelecting, kCollecting},   {kCollecting, kAggregating},
    {kAggregating, kDistilling}, {kAggregating, kEvaluating},
    {kDistilling, kEvaluating},  {kEvaluating, kCommitted},
};

template <typename State, size_t size>
StatusOr<State> Parse(
    const std::array<std::pair<State, std::string_view>, size>& names,
    std::string_view name) {
  for (const auto& [state, known] : names) {
    if (known == name) return state;
  }
  return DataLoss("'{}' is not a state of a run or round", name);
}

}  // namespace

std::string_view NameOf(RoundState state) {
  return kRoundNames[static_cast<size_t>(state)].second;
}
std::string_view NameOf(RunState state) {
  return kRunNames[static_cast<size_t>(state)].second;
}
StatusOr<RoundState> ParseRoundState(std::string_view name) {
  return Parse(kRoundNames, name);
}
StatusOr<RunState> ParseRunState(std::string_view name) {
  return Parse(kRunNames, name);
}

bool IsFinal(RoundState state) {
  return state == kCommitted || state == kFailed || state == kAbandoned;
}

bool IsLegalTransition(RoundState from, RoundState to) {
  if (IsFinal(from)) return false;
  if (to == kFailed || to == kAbandoned) return true;
  return std::find(std::begin(kForward), std::end(kForward),
                   std::pair(from, to)) != std::end(kForward);
}

Status ChangeRoundState(StateStore& store, RoundRow& round, RoundState to,
                        const std::function<Status(RoundRow&)>& also) {
  if (!IsLegalTransition(round.state, to)) {
    return FailedPrecondition("round {} (attempt {}) cannot go from {} to {}",
                              round.number, round.attempt, NameOf(round.state),
                              NameOf(to));
  }
  RoundRow next = round;
  next.state = to;
  TANDEM_RETURN_IF_ERROR(store.Transact([&]() -> Status {
    if (also) TANDEM_RETURN_IF_ERROR(also(next));
    return store.SaveRound(next);
  }));
  round = std::move(next);
  return OkStatus();
}

}  // namespace tandem
