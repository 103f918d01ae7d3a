#include "model/adapter.h"

#include <spdlog/fmt/ranges.h>

#include <cmath>

#include "common/random.h"
#include "model/adapted_linears.h"
#include "model/aten.h"
#include "model/decoder.h"

namespace tandem {
namespace {

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

// The names and shapes of a linear's tensors in an adapter.
std::vector<std::pair<std::string, std::vector<int64_t>>> TensorsOf(
    const AdaptedLinear& linear, const LoraOptions& options) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors = {
      {LoraAName(linear.module), {linear.rank, linear.in}},
      {LoraBName(linear.module), {linear.out, linear.rank}}};
  if (options.use_dora) {
    tensors.push_back({MagnitudeName(linear.module), {linear.out}});
  }
  return tensors;
}

// A and B of every adapted linear.
StatusOr<Adapter> CreateFactors(const DecoderConfig& config,
                                const LoraOptions& options, uint64_t seed) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<AdaptedLinear> linears,
                          AdaptedLinears(config, options));
  Adapter adapter{.options = options};
  for (const AdaptedLinear& linear : linears) {
    const std::string a_name = LoraAName(linear.module);
    adapter.tensors[a_name] =
        KaimingUniform(linear.rank, linear.in, seed, a_name);
    adapter.tensors[LoraBName(linear.module)] =
        at::zeros({linear.out, linear.rank}, at::kFloat);
  }
  return adapter;
}

// PEFT saves these with an adapter of a base whose vocabulary was changed.
Status CheckVocabulary(const DecoderConfig& config, const std::string& name,
                       const at::Tensor& tensor) {
  const bool has_a_row_per_token =
      name.find("embed_tokens") != std::string::npos ||
      name.find("lm_head") != std::string::npos;
  if (!has_a_row_per_token || tensor.dim() != 2 ||
      tensor.size(0) == config.vocabulary_size) {
    return OkStatus();
  }
  return InvalidArgument(
      "adapter tensor '{}' has {} rows, the base model's vocabulary {} tokens: "
      "the adapter was made for another vocabulary",
      name, tensor.size(0), config.vocabulary_size);
}

}  // namespace

StatusOr<Adapter> CreateAdapter(const Decoder& model,
                                const LoraOptions& options, uint64_t seed) {
  TANDEM_ASSIGN_OR_RETURN(Adapter adapter,
                          CreateFactors(model.config(), options, seed));
  if (!options.use_dora) return adapter;
  TANDEM_ASSIGN_OR_RETURN(const std::vector<AdaptedLinear> linears,
                          AdaptedLinears(model.config(), options));
  for (const AdaptedLinear& linear : linears) {
    adapter.tensors[MagnitudeName(linear.module)] =
        model.RowNorms(linear.module);
  }
  return adapter;
}

StatusOr<Adapter> CreateAdapter(const DecoderConfig& config,
                                const LoraOptions& options, uint64_t seed) {
  if (options.use_dora) {
    return InvalidArgument(
        "DoRA's magnitudes start from the weights, which are not given");
  }
  return CreateFactors(config, options, seed);
}

Status CheckAdapterTensors(const DecoderConfig& config,
                           const LoraOptions& options,
                           const TensorMap& tensors) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<AdaptedLinear> linears,
                          AdaptedLinears(config, options));
  TensorMap unknown = tensors;
  for (const AdaptedLinear& linear : linears) {
    for (const auto& [name, shape] : TensorsOf(linear, options)) {
      TANDEM_RETURN_IF_ERROR(CheckTensor(tensors, name, shape));
      unknown.erase(name);
    }
  }
  if (unknown.empty()) return OkStatus();
  const auto& [name, tensor] = *unknown.begin();
  TANDEM_RETURN_IF_ERROR(CheckVocabulary(config, name, tensor));
  return InvalidArgument("adapter tensor '{}' is not part of this adapter",
                         name);
}

}  // namespace tandem
