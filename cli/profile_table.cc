#include "cli/profile_table.h"

#include <ATen/Parallel.h>

#include <utility>

#include "model/gemm_peak.h"

namespace tandem::cli {
namespace {

constexpr double kMinShare = 0.005;

double Share(double part, double whole) { return whole > 0 ? part / whole : 0; }

double PeakShare(const std::string& dtype, double gflops,
                 const MeasuredProfile& profile) {
  const auto peak = profile.peak_gflops.find(dtype);
  return peak == profile.peak_gflops.end() ? 0 : Share(gflops, peak->second);
}

// All products of one dtype.
struct GemmTotal {
  double seconds = 0;
  double gigaoperations = 0;
  double Gflops() const { return Share(gigaoperations, seconds); }
};

std::map<std::string, GemmTotal> TotalsByDtype(const ProfileReport& report) {
  std::map<std::string, GemmTotal> totals;
  for (const GemmTime& gemm : report.gemms) {
    GemmTotal& total = totals[gemm.dtype];
    total.seconds += gemm.seconds;
    total.gigaoperations += gemm.Gflops() * gemm.seconds;
  }
  return totals;
}

double OutsideSeconds(const ProfileReport& report) {
  double inside = 0;
  for (const OperationTime& operation : report.operations) {
    inside += operation.seconds;
  }
  return report.seconds - inside;
}

void PrintOperation(const std::string& name, int64_t calls, double seconds,
                    double total) {
  PrintLine(fmt::format("{:<40} {:>9} {:>9.3f} {:>7.1f}", name, calls, seconds,
                        100 * Share(seconds, total)));
}

void PrintOperations(const ProfileReport& report) {
  PrintLine(fmt::format("{:<40} {:>9} {:>9} {:>7}", "operation", "calls",
                        "seconds", "%"));
  OperationTime rest;
  for (const OperationTime& operation : report.operations) {
    if (Share(operation.seconds, report.seconds) < kMinShare) {
      rest.calls += operation.calls;
      rest.seconds += operation.seconds;
    } else {
      PrintOperation(operation.name, operation.calls, operation.seconds,
                     report.seconds);
    }
  }
  PrintOperation("all others", rest.calls, rest.seconds, report.seconds);
  PrintOperation("outside of operations", 0, OutsideSeconds(report),
                 report.seconds);
}

void PrintGemms(const MeasuredProfile& profile) {
  PrintLine(fmt::format("\n{:<28} {:<9} {:>7} {:>9} {:>6} {:>8} {:>7}",
                        "product (rows x cols x inner)", "dtype", "calls",
                        "seconds", "%", "GFLOP/s", "% peak"));
  for (const GemmTime& gemm : profile.report.gemms) {
    const double share = Share(gemm.seconds, profile.report.seconds);
    if (share < kMinShare) continue;
    PrintLine(fmt::format(
        "{:<29} {:<9} {:>7} {:>9.3f} {:>6.1f} {:>8.1f} {:>7.1f}",
        fmt::format("{} x {} x {}", gemm.rows, gemm.columns, gemm.inner),
        gemm.dtype, gemm.calls, gemm.seconds, 100 * share, gemm.Gflops(),
        100 * PeakShare(gemm.dtype, gemm.Gflops(), profile)));
  }
  for (const auto& [dtype, total] : TotalsByDtype(profile.report)) {
    PrintLine(fmt::format(
        "all products in {}: {:.1f}% of the time, {:.1f} GFLOP/s, {:.1f}% of "
        "the peak",
        dtype, 100 * Share(total.seconds, profile.report.seconds),
        total.Gflops(), 100 * PeakShare(dtype, total.Gflops(), profile)));
  }
}

}  // namespace

MeasuredProfile WithPeaks(ProfileReport report) {
  MeasuredProfile profile{std::move(report), {}, at::get_num_threads()};
  for (const std::string& type : GemmTypes())
    profile.peak_gflops[type] = PeakGemmGflops(type);
  return profile;
}

Json ProfileJson(const MeasuredProfile& profile) {
  Json operations = Json::array(), gemms = Json::array();
  const double total = profile.report.seconds;
  for (const OperationTime& operation : profile.report.operations) {
    operations.push_back({{"name", operation.name},
                          {"calls", operation.calls},
                          {"seconds", operation.seconds},
                          {"share", Share(operation.seconds, total)}});
  }
  for (const GemmTime& gemm : profile.report.gemms) {
    gemms.push_back(
        {{"rows", gemm.rows},
         {"columns", gemm.columns},
         {"inner", gemm.inner},
         {"dtype", gemm.dtype},
         {"calls", gemm.calls},
         {"seconds", gemm.seconds},
         {"gflops", gemm.Gflops()},
         {"peak_share", PeakShare(gemm.dtype, gemm.Gflops(), profile)}});
  }
  Json totals = Json::object();
  for (const auto& [dtype, all] : TotalsByDtype(profile.report)) {
    totals[dtype] = {{"seconds", all.seconds},
                     {"gflops", all.Gflops()},
                     {"peak_share", PeakShare(dtype, all.Gflops(), profile)}};
  }
  return {{"seconds", total},
          {"threads", profile.threads},
          {"peak_gflops", profile.peak_gflops},
          {"outside_seconds", OutsideSeconds(profile.report)},
          {"operations", operations},
          {"gemm_totals", totals},
          {"gemms", gemms}};
}

void PrintProfile(const MeasuredProfile& profile) {
  PrintOperations(profile.report);
  PrintGemms(profile);
  for (const auto& [dtype, gflops] : profile.peak_gflops) {
    PrintLine(fmt::format("peak of {} on {} threads: {:.1f} GFLOP/s", dtype,
                          profile.threads, gflops));
  }
}

}  // namespace tandem::cli
