// How fast the machine multiplies matrices: what bounds a training step.
#ifndef TANDEM_MODEL_GEMM_PEAK_H_
#define TANDEM_MODEL_GEMM_PEAK_H_

#include <string>
#include <vector>

namespace tandem {

// The types in which this processor multiplies the factors of a product, as in
// GemmTime::dtype: "Float" and "BFloat16", and "Int16" where bf16 weights are
// multiplied so (model/int16_product.h).
std::vector<std::string> GemmTypes();

// The fastest that two square matrices are multiplied in one of GemmTypes(), by
// LibTorch or by our own product, on the present number of threads, in 1e9
// operations per second.
double PeakGemmGflops(const std::string& type);

}  // namespace tandem

#endif  // TANDEM_MODEL_GEMM_PEAK_H_
