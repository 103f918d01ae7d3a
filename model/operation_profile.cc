#include "model/operation_profile.h"

#include <ATen/record_function.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>

#include "model/aten.h"
#include "model/stopwatch.h"

namespace tandem {
namespace {

struct GemmOperation {
  std::string_view name;
  size_t first_factor;         // its place among the inputs
  std::string_view type = {};  // of the factors, where it is not the inputs'
};
constexpr std::array<GemmOperation, 6> kGemmOperations = {
    {{"aten::mm", 0},
     {"aten::addmm", 1},
     {"aten::addmm_", 1},
     {"aten::bmm", 0},
     {"tandem::packed_product", 0},
     {"tandem::int16_product", 0, "Int16"}}};

using GemmKey = std::tuple<int64_t, int64_t, int64_t, std::string>;

std::optional<GemmKey> ShapeOf(const c10::IValue& a, const c10::IValue& b,
                               std::string_view type) {
  if (!a.isTensor() || !b.isTensor()) return std::nullopt;
  const at::Tensor& left = a.toTensor();
  const at::Tensor& right = b.toTensor();
  if (left.dim() < 2 || right.dim() < 2) return std::nullopt;
  const int64_t batch = left.dim() == 3 ? left.size(0) : 1;
  return GemmKey{
      batch * left.size(-2), right.size(-1), left.size(-1),
      type.empty() ? c10::toString(left.scalar_type()) : std::string(type)};
}

// Inputs exist only while an operation begins.
std::optional<GemmKey> GemmShape(const at::RecordFunction& operation) {
  for (const GemmOperation& gemm : kGemmOperations) {
    if (gemm.name != operation.name()) continue;
    const auto inputs = operation.inputs();
    if (inputs.size() < gemm.first_factor + 2) return std::nullopt;
    return ShapeOf(inputs[gemm.first_factor], inputs[gemm.first_factor + 1],
                   gemm.type);
  }
  return std::nullopt;
}

// "torch::autograd::CppNode<tandem::(anonymous namespace)::XFunction>" is the
// backward pass of X.
std::string ShownName(const at::RecordFunction& operation) {
  std::string name = operation.name();
  if (operation.scope() != at::RecordScope::BACKWARD_FUNCTION) return name;
  if (name.ends_with('>')) name.pop_back();
  const size_t colon = name.rfind("::");
  if (colon != std::string::npos) name = name.substr(colon + 2);
  constexpr std::string_view kSuffix = "Function";
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  return name + " backward";
}

}  // namespace

double GemmTime::Gflops() const {
  const double operations =
      2.0 * static_cast<double>(rows) * static_cast<double>(columns) *
      static_cast<double>(inner) * static_cast<double>(calls);
  return seconds > 0 ? operations / seconds * 1e-9 : 0;
}

struct OperationProfile::Impl {
  // An operation that has begun and not ended.
  struct OpenOperation {
    Stopwatch watch = {};
    std::optional<GemmKey> gemm = {};
    double inner_seconds = 0;  // of the operations it called
  };

  Stopwatch watch;
  std::vector<OpenOperation> open;
  std::map<std::string, OperationTime> operations;
  std::map<GemmKey, GemmTime> gemms;
  at::CallbackHandle handle = 0;

  // LibTorch's callbacks are plain functions.
  static thread_local Impl* active;

  static std::unique_ptr<at::ObserverContext> Begin(
      const at::RecordFunction& operation) {
    if (!active) return nullptr;
    active->open.push_back({.gemm = GemmShape(operation)});
    return nullptr;
  }

  static void End(const at::RecordFunction& operation, at::ObserverContext*) {
    if (active && !active->open.empty()) active->Close(operation);
  }

  void Close(const at::RecordFunction& operation) {
    const OpenOperation ended = open.back();
    open.pop_back();
    const double seconds = ended.watch.Seconds();
    OperationTime& total = operations[ShownName(operation)];
    ++total.calls;
    total.seconds += seconds - ended.inner_seconds;
    if (!open.empty()) open.back().inner_seconds += seconds;
    if (ended.gemm) AddGemm(*ended.gemm, seconds);
  }

  void AddGemm(const GemmKey& key, double seconds) {
    GemmTime& gemm = gemms[key];
    std::tie(gemm.rows, gemm.columns, gemm.inner, gemm.dtype) = key;
    ++gemm.calls;
    gemm.seconds += seconds;
  }
};

thread_local OperationProfile::Impl* OperationProfile::Impl::active = nullptr;

OperationProfile::OperationProfile() : impl_(std::make_unique<Impl>()) {
  Impl::active = impl_.get();
  impl_->handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(&Impl::Begin, &Impl::End)
          .needsInputs(true)
          .scopes({at::RecordScope::FUNCTION,
                   at::RecordScope::BACKWARD_FUNCTION,
                   at::RecordScope::USER_SCOPE}));
}

OperationProfile::~OperationProfile() {
  at::removeCallback(impl_->handle);
  Impl::active = nullptr;
}

ProfileReport OperationProfile::Report() const {
  ProfileReport report;
  report.seconds = impl_->watch.Seconds();
  report.operations.reserve(impl_->operations.size());
  for (const auto& [name, time] : impl_->operations) {
    report.operations.push_back({name, time.calls, time.seconds});
  }
  report.gemms.reserve(impl_->gemms.size());
  for (const auto& [key, time] : impl_->gemms) report.gemms.push_back(time);
  const auto longer = [](const auto& a, const auto& b) {
    return a.seconds > b.seconds;
  };
  std::sort(report.operations.begin(), report.operations.end(), longer);
  std::sort(report.gemms.begin(), report.gemms.end(), longer);
  return report;
}

}  // namespace tandem
