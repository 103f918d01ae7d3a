#include "model/adapter.h"

#include <ATen/ATen.h>
#include <spdlog/fmt/ranges.h>

#include <cmath>

#include "common/random.h"
#include "model/adapted_linears.h"

namespace tandem {
namespace {

// Far above any useful rank; what a peer's task description may ask for stops
// here, before memory is touched.
constexpr int64_t kMaxRank = 65536;

Status CheckOptions(const LoraOptions& options) {
  if (options.rank < 1 || options.rank > kMaxRank) {
    return InvalidArgument("LoRA rank is {}, expected 1 to {}", options.rank,
                           kMaxRank);
  }
  if (!std::isfinite(options.alpha) || options.alpha <= 0) {
    return InvalidArgument("LoRA alpha is {}, expected a number above 0",
                           options.alpha);
  }
  return OkStatus();
}

// Uniform in +-1/sqrt(in): [rank, in]. The stream depends on the seed and the
// tensor's name alone, not on which other modules are adapted.
at::Tensor KaimingUniform(int64_t rank, int64_t in, uint64_t seed,
                          const std::string& name) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  at::Tensor tensor = at::empty({rank, in}, at::kFloat);
  float* values = tensor.data_ptr<float>();
  SeededRandom random(DeriveSeed(seed, name));
  for (int64_t i = 0; i < rank * in; ++i) {
    values[i] = static_cast<float>((2 * random.Uniform() - 1) * bound);
  }
  return tensor;
}

Status CheckTensor(const TensorMap& tensors, const std::string& name,
                   at::IntArrayRef shape) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    return InvalidArgument("adapter tensor '{}' is missing", name);
  }
  const at::Tensor& tensor = found->second;
  if (!tensor.defined() || tensor.scalar_type() != at::kFloat) {
    return InvalidArgument(
        "adapter tensor '{}' has dtype {}, expected Float", name,
        tensor.defined() ? c10::toString(tensor.scalar_type()) : "none");
  }
  if (tensor.sizes() != shape) {
    return InvalidArgument("adapter tensor '{}' has shape [{}], expected [{}]",
                           name, fmt::join(tensor.sizes(), ", "),
                           fmt::join(shape, ", "));
  }
  return OkStatus();
}

// The first name in `tensors` that none of `linears` accounts for.
Status CheckNothingElse(const TensorMap& tensors,
                        const std::vector<AdaptedLinear>& linears) {
  if (tensors.size() == 2 * linears.size()) return OkStatus();
  TensorMap unknown = tensors;
  for (const AdaptedLinear& linear : linears) {
    unknown.erase(LoraAName(linear.module));
    unknown.erase(LoraBName(linear.module));
  }
  return InvalidArgument("adapter tensor '{}' is not part of this adapter",
                         unknown.begin()->first);
}

}  // namespace

StatusOr<Adapter> CreateAdapter(const DecoderConfig& config,
                                const LoraOptions& options, uint64_t seed) {
  TANDEM_RETURN_IF_ERROR(CheckOptions(options));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<AdaptedLinear> linears,
                          AdaptedLinears(config, options.target_modules));
  Adapter adapter{.options = options};
  for (const AdaptedLinear& linear : linears) {
    const std::string a_name = LoraAName(linear.module);
    adapter.tensors[a_name] =
        KaimingUniform(options.rank, linear.in, seed, a_name);
    adapter.tensors[LoraBName(linear.module)] =
        at::zeros({linear.out, options.rank}, at::kFloat);
  }
  return adapter;
}

Status CheckAdapterTensors(const DecoderConfig& config,
                           const LoraOptions& options,
                           const TensorMap& tensors) {
  TANDEM_RETURN_IF_ERROR(CheckOptions(options));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<AdaptedLinear> linears,
                          AdaptedLinears(config, options.target_modules));
  for (const AdaptedLinear& linear : linears) {
    TANDEM_RETURN_IF_ERROR(CheckTensor(tensors, LoraAName(linear.module),
                                       {options.rank, linear.in}));
    TANDEM_RETURN_IF_ERROR(CheckTensor(tensors, LoraBName(linear.module),
                                       {linear.out, options.rank}));
  }
  return CheckNothingElse(tensors, linears);
}

}  // namespace tandem
