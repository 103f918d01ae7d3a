// The machine's peak: the fastest matrix product.
#include "bench/engine/workload.h"
#include "model/gemm_peak.h"

namespace tandem::bench {
namespace {

// By what --dtype says; empty where the processor does not multiply so.
StatusOr<std::string> GemmTypeNamed(const std::string& dtype) {
  if (dtype == "fp32") return std::string("Float");
  if (dtype == "bf16") return std::string("BFloat16");
  if (dtype == "int16") return std::string("Int16");
  return InvalidArgument("--dtype is '{}', expected fp32, bf16 or int16",
                         dtype);
}

}  // namespace

Status BenchGemm(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const std::string type, GemmTypeNamed(flags.dtype));
  Repeat(flags.repetitions, "flops", SettingsOf(flags),
         [&] { return Measurement{1e9 * PeakGemmGflops(type), 1}; });
  return OkStatus();
}

}  // namespace tandem::bench
