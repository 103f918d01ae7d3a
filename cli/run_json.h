// Run reports as JSON, for --json and for scripts.
#ifndef TANDEM_CLI_RUN_JSON_H_
#define TANDEM_CLI_RUN_JSON_H_

#include "cli/command.h"
#include "server/run_report.h"

namespace tandem::cli {

// All of a run. Where privacy is on, "privacy" states epsilon and delta with
// unit, adjacency, mechanism and sampling; else it is null.
Json RunJson(const RunReport& report);
// One line of a listing.
Json RunSummaryJson(const RunReport& report);

// What the privacy figures mean, in one sentence.
std::string PrivacySentence(const RunReport& report);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_RUN_JSON_H_
