// A LedgerStorage that outlives the ledgers of one test and can fail.
#ifndef TANDEM_TESTS_TESTING_MEMORY_LEDGER_STORAGE_H_
#define TANDEM_TESTS_TESTING_MEMORY_LEDGER_STORAGE_H_

#include <vector>

#include "privacy/budget_ledger.h"

namespace tandem::testing {

class MemoryLedgerStorage : public LedgerStorage {
 public:
  Status Append(const ReleaseEntry& entry) override {
    if (!append_status.ok()) return append_status;
    entries.push_back(entry);
    return OkStatus();
  }
  StatusOr<std::vector<ReleaseEntry>> Load() override {
    if (!load_status.ok()) return load_status;
    return entries;
  }

  std::vector<ReleaseEntry> entries;
  Status append_status;  // what Append answers, unless OK
  Status load_status;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_MEMORY_LEDGER_STORAGE_H_
