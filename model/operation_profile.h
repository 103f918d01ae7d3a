// Where the time of numeric code goes, by operation, and how fast its matrix
// products are.
#ifndef TANDEM_MODEL_OPERATION_PROFILE_H_
#define TANDEM_MODEL_OPERATION_PROFILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tandem {

struct OperationTime {
  std::string name;  // "aten::mm", "RmsNorm", "RmsNorm backward"
  int64_t calls = 0;
  double seconds = 0;  // without the operations that it called
};

// [rows, inner] times [inner, columns].
struct GemmTime {
  int64_t rows = 0, columns = 0, inner = 0;
  // In which the factors were multiplied: "Float", "BFloat16", or "Int16"
  // (model/int16_product.h). Of a sum of products, the first is counted.
  std::string dtype;
  int64_t calls = 0;
  double seconds = 0;
  double Gflops() const;  // 2 rows columns inner per call, in 1e9 per second
};

struct ProfileReport {
  double seconds = 0;                     // from start to report
  std::vector<OperationTime> operations;  // longest first; so below
  std::vector<GemmTime> gemms;
};

// Watches the LibTorch operations and the RECORD_USER_SCOPE ranges of the
// thread that makes it, while it lives; one at a time. Operations on the CPU
// run in the thread that calls them, backward passes included.
class OperationProfile {
 public:
  OperationProfile();
  ~OperationProfile();
  ProfileReport Report() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_OPERATION_PROFILE_H_
