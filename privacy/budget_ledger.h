// The record of every privacy release of a run, written before the release is
// made.
//
// A crash after the entry and before the release costs budget and leaks
// nothing; the other order would leak unrecorded.
#ifndef TANDEM_PRIVACY_BUDGET_LEDGER_H_
#define TANDEM_PRIVACY_BUDGET_LEDGER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "privacy/rdp_accountant.h"

namespace tandem {

struct ReleaseEntry {
  // Names the release; recording the same name again with the same parameters
  // is the same release (a resumed round that repeats it byte for byte), not a
  // second one.
  std::string release_id;
  double noise_multiplier = 0;
  double sampling_rate = 0;
};

// Durable storage of entries, in order. Append returns only once the entry
// would survive a power cut.
class LedgerStorage {
 public:
  virtual ~LedgerStorage() = default;
  virtual Status Append(const ReleaseEntry& entry) = 0;
  virtual StatusOr<std::vector<ReleaseEntry>> Load() = 0;
};

class BudgetLedger {
 public:
  // Reads what is already spent. epsilon_budget 0: no bound. REQUIRES: storage
  // outlives the ledger.
  static StatusOr<BudgetLedger> Open(LedgerStorage& storage, double delta,
                                     double epsilon_budget);

  // Records a release, durably, before it is made. ResourceExhausted, and
  // nothing recorded, where it would pass the budget. AlreadyExists where
  // release_id was recorded with other parameters.
  Status Record(const ReleaseEntry& entry);
  // Whether a release of this name was recorded, and so may have been made.
  bool Contains(const std::string& release_id) const;
  // What has been spent so far; epsilon 0 before the first release.
  StatusOr<PrivacyGuarantee> Spent() const;
  // The guarantee if `entry` were recorded too.
  StatusOr<PrivacyGuarantee> SpentWith(const ReleaseEntry& entry) const;

 private:
  BudgetLedger(LedgerStorage& storage, double delta, double epsilon_budget);
  LedgerStorage* storage_;
  double delta_;
  double epsilon_budget_;
  std::vector<ReleaseEntry> entries_;
};

}  // namespace tandem

#endif  // TANDEM_PRIVACY_BUDGET_LEDGER_H_
