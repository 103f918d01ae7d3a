#include "privacy/budget_ledger.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace tandem {
namespace {

bool SameParameters(const ReleaseEntry& a, const ReleaseEntry& b) {
  return a.noise_multiplier == b.noise_multiplier &&
         a.sampling_rate == b.sampling_rate;
}

const ReleaseEntry* Find(const std::vector<ReleaseEntry>& entries,
                         const std::string& release_id) {
  const auto found = std::find_if(
      entries.begin(), entries.end(),
      [&](const auto& entry) { return entry.release_id == release_id; });
  return found == entries.end() ? nullptr : &*found;
}

Status CheckConflict(const ReleaseEntry& recorded, const ReleaseEntry& entry) {
  if (SameParameters(recorded, entry)) return OkStatus();
  return AlreadyExists(
      "release '{}' was recorded with noise_multiplier {} and sampling_rate "
      "{}, not {} and {}",
      entry.release_id, recorded.noise_multiplier, recorded.sampling_rate,
      entry.noise_multiplier, entry.sampling_rate);
}

// Equal releases are composed at once, so that a long run stays cheap.
StatusOr<PrivacyGuarantee> GuaranteeOf(const std::vector<ReleaseEntry>& entries,
                                       double delta) {
  std::map<std::pair<double, double>, int64_t> counts;
  for (const ReleaseEntry& entry : entries) {
    ++counts[{entry.noise_multiplier, entry.sampling_rate}];
  }
  RdpAccountant accountant;
  for (const auto& [parameters, count] : counts) {
    TANDEM_RETURN_IF_ERROR(
        accountant.Compose(parameters.first, parameters.second, count));
  }
  return accountant.Guarantee(delta);
}

Status CheckEntry(const ReleaseEntry& entry) {
  if (entry.release_id.empty()) {
    return InvalidArgument("a release needs a name, release_id is empty");
  }
  // A map key must not be NaN; the accountant knows what else is wrong.
  RdpAccountant accountant({2});
  return Annotate(
      accountant.Compose(entry.noise_multiplier, entry.sampling_rate),
      "release '" + entry.release_id + "'");
}

}  // namespace

BudgetLedger::BudgetLedger(LedgerStorage& storage, double delta,
                           double epsilon_budget)
    : storage_(&storage), delta_(delta), epsilon_budget_(epsilon_budget) {}

StatusOr<BudgetLedger> BudgetLedger::Open(LedgerStorage& storage, double delta,
                                          double epsilon_budget) {
  if (!(delta > 0 && delta < 1)) {
    return InvalidArgument("delta is {}, expected a number between 0 and 1",
                           delta);
  }
  if (!std::isfinite(epsilon_budget) || epsilon_budget < 0) {
    return InvalidArgument("epsilon_budget is {}, expected 0 or more",
                           epsilon_budget);
  }
  BudgetLedger ledger(storage, delta, epsilon_budget);
  TANDEM_ASSIGN_OR_RETURN(std::vector<ReleaseEntry> stored, storage.Load());
  for (ReleaseEntry& entry : stored) {
    TANDEM_RETURN_IF_ERROR(Annotate(CheckEntry(entry), "privacy ledger"));
    const ReleaseEntry* recorded = Find(ledger.entries_, entry.release_id);
    if (recorded == nullptr) {
      ledger.entries_.push_back(std::move(entry));
    } else if (Status same = CheckConflict(*recorded, entry); !same.ok()) {
      return DataLoss("privacy ledger: {}", ToString(same));
    }
  }
  return ledger;
}

Status BudgetLedger::Record(const ReleaseEntry& entry) {
  TANDEM_RETURN_IF_ERROR(CheckEntry(entry));
  if (const ReleaseEntry* recorded = Find(entries_, entry.release_id)) {
    return CheckConflict(*recorded, entry);
  }
  TANDEM_ASSIGN_OR_RETURN(const PrivacyGuarantee after, SpentWith(entry));
  if (epsilon_budget_ > 0 && after.epsilon > epsilon_budget_) {
    return ResourceExhausted(
        "release '{}' would spend epsilon {:.6g} at delta {:g}, past the "
        "budget of {:g}",
        entry.release_id, after.epsilon, delta_, epsilon_budget_);
  }
  TANDEM_RETURN_IF_ERROR(storage_->Append(entry));
  entries_.push_back(entry);
  return OkStatus();
}

bool BudgetLedger::Contains(const std::string& release_id) const {
  return Find(entries_, release_id) != nullptr;
}

StatusOr<PrivacyGuarantee> BudgetLedger::Spent() const {
  return GuaranteeOf(entries_, delta_);
}

StatusOr<PrivacyGuarantee> BudgetLedger::SpentWith(
    const ReleaseEntry& entry) const {
  TANDEM_RETURN_IF_ERROR(CheckEntry(entry));
  if (const ReleaseEntry* recorded = Find(entries_, entry.release_id)) {
    TANDEM_RETURN_IF_ERROR(CheckConflict(*recorded, entry));
    return Spent();
  }
  std::vector<ReleaseEntry> entries = entries_;
  entries.push_back(entry);
  return GuaranteeOf(entries, delta_);
}

}  // namespace tandem
