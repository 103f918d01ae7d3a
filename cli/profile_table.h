// A training's profile as a table and as JSON.
#ifndef TANDEM_CLI_PROFILE_TABLE_H_
#define TANDEM_CLI_PROFILE_TABLE_H_

#include <map>
#include <string>

#include "cli/command.h"
#include "model/operation_profile.h"

namespace tandem::cli {

// Peaks of the machine by dtype, in GFLOP/s, at the present number of threads.
struct MeasuredProfile {
  ProfileReport report;
  std::map<std::string, double> peak_gflops;  // of GemmTypes()
  int threads = 0;
};

// Measures the peaks.
MeasuredProfile WithPeaks(ProfileReport report);

Json ProfileJson(const MeasuredProfile& profile);
// To standard output; what takes under half a percent is summed up.
void PrintProfile(const MeasuredProfile& profile);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_PROFILE_TABLE_H_
