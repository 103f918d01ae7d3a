#include "server/server_optimizer.h"

#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "model/aten.h"

namespace tandem {
namespace {

// What an optimiser does with one tensor; every view has the same length.
struct TensorStep {
  const float* global;
  const float* delta;
  float* adapter;
  std::array<const float*, 2> state_in;
  std::array<float*, 2> state_out;
  int64_t count;
};

void StepSgd(const ServerOptimizerOptions& options, const TensorStep& step) {
  for (int64_t i = 0; i < step.count; ++i) {
    const double x = step.global[i];
    step.adapter[i] =
        static_cast<float>(x + options.learning_rate * step.delta[i]);
  }
}

void StepAdam(const ServerOptimizerOptions& options, const TensorStep& step) {
  for (int64_t i = 0; i < step.count; ++i) {
    const double delta = step.delta[i];
    const double m =
        options.beta1 * step.state_in[0][i] + (1 - options.beta1) * delta;
    const double v = options.beta2 * step.state_in[1][i] +
                     (1 - options.beta2) * delta * delta;
    const double x = step.global[i];
    step.adapter[i] = static_cast<float>(
        x + options.learning_rate * m / (std::sqrt(v) + options.adaptivity));
    step.state_out[0][i] = static_cast<float>(m);
    step.state_out[1][i] = static_cast<float>(v);
  }
}

struct StateTensor {
  std::string_view prefix;
  double (*initial)(const ServerOptimizerOptions& options);
};

struct Optimizer {
  std::string_view name;
  void (*step)(const ServerOptimizerOptions& options, const TensorStep& step);
  std::array<StateTensor, 2> state;
  size_t state_count;
};

constexpr std::array<Optimizer, 2> kOptimizers = {{
    {"sgd", StepSgd, {}, 0},
    {"adam",
     StepAdam,
     {{{"m/", [](const ServerOptimizerOptions&) { return 0.0; }},
       {"v/",
        [](const ServerOptimizerOptions& options) {
          return options.adaptivity * options.adaptivity;
        }}}},
     2},
}};

StatusOr<Optimizer> FindOptimizer(std::string_view name) {
  std::string known;
  for (const Optimizer& optimizer : kOptimizers) {
    if (optimizer.name == name) return optimizer;
    known += (known.empty() ? "" : ", ") + std::string(optimizer.name);
  }
  return InvalidArgument("unknown server optimiser '{}', known are: {}", name,
                         known);
}

Status CheckRange(const char* field, double value, bool valid,
                  const char* expected) {
  if (std::isfinite(value) && valid) return OkStatus();
  return InvalidArgument("{} is {}, expected {}", field, value, expected);
}

Status CheckLike(const std::string& name, const at::Tensor& tensor,
                 const at::Tensor& expected) {
  if (tensor.scalar_type() == at::kFloat &&
      tensor.sizes() == expected.sizes()) {
    return OkStatus();
  }
  return InvalidArgument(
      "tensor '{}' has another shape or dtype than the global adapter's fp32",
      name);
}

Status CheckDeltaFits(const TensorMap& global, const TensorMap& mean_delta) {
  for (const auto& [name, delta] : mean_delta) {
    const auto found = global.find(name);
    if (found == global.end()) {
      return InvalidArgument("tensor '{}' is not in the global adapter", name);
    }
    TANDEM_RETURN_IF_ERROR(CheckLike(name, found->second, found->second));
    TANDEM_RETURN_IF_ERROR(CheckLike(name, delta, found->second));
  }
  return OkStatus();
}

Status CheckState(const Optimizer& optimizer, const TensorMap& state,
                  const TensorMap& mean_delta) {
  if (state.empty()) return OkStatus();
  if (state.size() != optimizer.state_count * mean_delta.size()) {
    return InvalidArgument(
        "the state has {} tensors, expected {} for optimiser '{}'",
        state.size(), optimizer.state_count * mean_delta.size(),
        optimizer.name);
  }
  for (size_t s = 0; s < optimizer.state_count; ++s) {
    for (const auto& [name, delta] : mean_delta) {
      const std::string key = std::string(optimizer.state[s].prefix) + name;
      const auto found = state.find(key);
      if (found == state.end()) {
        return InvalidArgument("the state lacks tensor '{}'", key);
      }
      TANDEM_RETURN_IF_ERROR(CheckLike(key, found->second, delta));
    }
  }
  return OkStatus();
}

at::Tensor StateOrInitial(const ServerOptimizerOptions& options,
                          const StateTensor& kind, const TensorMap& state,
                          const std::string& name, const at::Tensor& like) {
  const auto found = state.find(std::string(kind.prefix) + name);
  if (found != state.end()) return found->second.contiguous();
  return at::full(like.sizes(), kind.initial(options), at::kFloat);
}

void StepTensor(const ServerOptimizerOptions& options,
                const Optimizer& optimizer, const TensorMap& state,
                const std::string& name, const at::Tensor& mean_delta,
                ServerStep* result) {
  const at::Tensor global = result->adapter.at(name).contiguous();
  const at::Tensor delta = mean_delta.contiguous();
  at::Tensor adapter = at::empty(global.sizes(), at::kFloat);
  std::array<at::Tensor, 2> before;
  TensorStep step{global.const_data_ptr<float>(),
                  delta.const_data_ptr<float>(),
                  adapter.mutable_data_ptr<float>(),
                  {},
                  {},
                  global.numel()};
  for (size_t s = 0; s < optimizer.state_count; ++s) {
    const StateTensor& kind = optimizer.state[s];
    before[s] = StateOrInitial(options, kind, state, name, global);
    at::Tensor after = at::empty(global.sizes(), at::kFloat);
    step.state_in[s] = before[s].const_data_ptr<float>();
    step.state_out[s] = after.mutable_data_ptr<float>();
    result->state[std::string(kind.prefix) + name] = std::move(after);
  }
  optimizer.step(options, step);
  result->adapter[name] = std::move(adapter);
}

Status CheckFinite(const TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (!at::isfinite(tensor).all().item<bool>()) {
      return InvalidArgument(
          "the server optimiser's step makes tensor '{}' infinite or NaN",
          name);
    }
  }
  return OkStatus();
}

}  // namespace

Status ValidateServerOptimizerOptions(const ServerOptimizerOptions& options) {
  TANDEM_RETURN_IF_ERROR(FindOptimizer(options.name).status());
  TANDEM_RETURN_IF_ERROR(CheckRange("server_learning_rate",
                                    options.learning_rate,
                                    options.learning_rate >= 0, "0 or more"));
  TANDEM_RETURN_IF_ERROR(CheckRange("beta1", options.beta1,
                                    options.beta1 >= 0 && options.beta1 < 1,
                                    "0 or more and below 1"));
  TANDEM_RETURN_IF_ERROR(CheckRange("beta2", options.beta2,
                                    options.beta2 >= 0 && options.beta2 < 1,
                                    "0 or more and below 1"));
  return CheckRange("adaptivity", options.adaptivity, options.adaptivity > 0,
                    "a number above 0");
}

StatusOr<ServerStep> ApplyServerOptimizer(const ServerOptimizerOptions& options,
                                          const TensorMap& state,
                                          const TensorMap& global,
                                          const TensorMap& mean_delta) {
  TANDEM_RETURN_IF_ERROR(ValidateServerOptimizerOptions(options));
  TANDEM_ASSIGN_OR_RETURN(const Optimizer optimizer,
                          FindOptimizer(options.name));
  TANDEM_RETURN_IF_ERROR(CheckDeltaFits(global, mean_delta));
  TANDEM_RETURN_IF_ERROR(CheckState(optimizer, state, mean_delta));
  ServerStep result{.adapter = global, .state = {}};
  for (const auto& [name, delta] : mean_delta) {
    StepTensor(options, optimizer, state, name, delta, &result);
  }
  TANDEM_RETURN_IF_ERROR(CheckFinite(result.adapter));
  TANDEM_RETURN_IF_ERROR(CheckFinite(result.state));
  return result;
}

}  // namespace tandem
