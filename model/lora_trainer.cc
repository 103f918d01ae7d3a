#include "model/lora_trainer.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <cstring>
#include <span>
#include <stdexcept>

#include "common/random.h"
#include "model/aten.h"
#include "model/recompute.h"

namespace tandem {
namespace {

constexpr char kFirstMoment[] = "optimizer.first_moment";
constexpr char kSecondMoment[] = "optimizer.second_moment";
constexpr char kOptimizerSteps[] = "optimizer.steps";

bool Trains(const TrainerOptions& options, const std::string& name) {
  return !(options.freeze_lora_a && IsLoraA(name));
}

// Neighbours that learn alike are one group.
std::vector<ParameterGroup> GroupsOf(const Adapter& adapter,
                                     const TrainerOptions& options) {
  std::vector<ParameterGroup> groups;
  for (const auto& [name, tensor] : adapter.tensors) {
    if (!Trains(options, name)) continue;
    const double factor = IsLoraA(name) ? 1 : options.lora_plus_ratio;
    if (!groups.empty() && groups.back().learning_rate_factor == factor)
      groups.back().elements += tensor.numel();
    else
      groups.push_back({tensor.numel(), factor});
  }
  return groups;
}

std::vector<float> FloatsOf(const at::Tensor& tensor) {
  const at::Tensor contiguous = tensor.contiguous();
  const float* data = contiguous.const_data_ptr<float>();
  return {data, data + contiguous.numel()};
}

}  // namespace

// The trained tensors lie end to end in one buffer, in the order of their
// names, so that clipping and AdamW are one pass each.
struct LoraTrainer::Impl {
  const Decoder& model;
  TrainerOptions options;
  std::vector<float> parameters, gradients;
  Adapter adapter;  // trained tensors are views of `parameters`
  AdamW optimizer;
  int64_t steps = 0;

  Impl(const Decoder& decoder, const Adapter& initial,
       const TrainerOptions& trainer_options)
      : model(decoder),
        options(trainer_options),
        parameters(TrainedElements(initial, trainer_options)),
        gradients(parameters.size()),
        adapter(CopyInto(initial, trainer_options, parameters)),
        optimizer(trainer_options.optimizer,
                  static_cast<int64_t>(parameters.size()),
                  GroupsOf(initial, trainer_options)) {}

  static size_t TrainedElements(const Adapter& adapter,
                                const TrainerOptions& options) {
    int64_t elements = 0;
    for (const auto& [name, tensor] : adapter.tensors)
      if (Trains(options, name)) elements += tensor.numel();
    return static_cast<size_t>(elements);
  }

  static Adapter CopyInto(const Adapter& initial, const TrainerOptions& options,
                          std::vector<float>& buffer) {
    Adapter copy{initial.options, {}, {}};
    float* next = buffer.data();
    for (const auto& [name, tensor] : initial.tensors) {
      const at::Tensor values = tensor.detach().to(at::kFloat);
      if (!Trains(options, name)) {
        copy.tensors[name] = values.clone();
        continue;
      }
      copy.tensors[name] = at::from_blob(next, values.sizes(), at::kFloat);
      copy.tensors[name].copy_(values);
      next += values.numel();
    }
    return copy;
  }

  void GatherGradients(const TensorMap& tensors) {
    float* next = gradients.data();
    for (const auto& [name, tensor] : tensors) {
      const at::Tensor values = tensor.contiguous();
      std::memcpy(next, values.const_data_ptr<float>(), values.nbytes());
      next += values.numel();
    }
  }
};

LoraTrainer::LoraTrainer(const Decoder& model, const Adapter& initial,
                         const TrainerOptions& options)
    : impl_(std::make_unique<Impl>(model, initial, options)) {}
LoraTrainer::~LoraTrainer() = default;

StepResult LoraTrainer::Step(const std::vector<LossTerm>& terms) {
  Impl& impl = *impl_;
  const RecomputeMode recompute(impl.options.gradient_checkpointing);
  if (impl.adapter.options.dropout > 0)
    impl.adapter.dropout_seed = DeriveSeed(impl.options.dropout_seed, "dropout",
                                           static_cast<uint64_t>(impl.steps));
  const AdapterGradient gradient = ComputeAdapterGradient(
      impl.model, impl.adapter, terms, impl.options.freeze_lora_a);
  impl.GatherGradients(gradient.tensors);
  const double norm = NormL2(impl.gradients);
  if (!std::isfinite(gradient.loss) || !std::isfinite(norm))
    throw std::runtime_error(
        fmt::format("step {}: loss {} with gradient norm {} is not finite",
                    impl.steps, gradient.loss, norm));
  const double limit = impl.options.max_grad_norm_l2;
  const double scale = limit > 0 ? std::min(1.0, limit / (norm + 1e-6)) : 1.0;
  impl.optimizer.Step(impl.parameters, impl.gradients, scale,
                      impl.options.optimizer.learning_rate *
                          ScheduleFactor(impl.options.schedule, impl.steps));
  ++impl.steps;
  return {gradient.loss, norm, gradient.tokens, gradient.target_tokens};
}

Adapter LoraTrainer::CurrentAdapter() const {
  Adapter copy{impl_->adapter.options, {}, {}};
  for (const auto& [name, tensor] : impl_->adapter.tensors)
    copy.tensors[name] = tensor.clone();
  return copy;
}

int64_t LoraTrainer::steps_done() const { return impl_->steps; }

TensorMap LoraTrainer::State() const {
  const AdamW::State& optimizer = impl_->optimizer.state();
  TensorMap state = CurrentAdapter().tensors;
  state[kFirstMoment] = at::tensor(at::ArrayRef<float>(optimizer.first_moment));
  state[kSecondMoment] =
      at::tensor(at::ArrayRef<float>(optimizer.second_moment));
  state[kOptimizerSteps] = at::full({1}, impl_->steps, at::kLong);
  return state;
}

Status LoraTrainer::Restore(const TensorMap& state) {
  for (const auto& [name, expected] : State()) {
    const auto found = state.find(name);
    if (found == state.end()) return InvalidArgument("'{}' is missing", name);
    const at::Tensor& tensor = found->second;
    if (tensor.sizes() != expected.sizes() ||
        tensor.scalar_type() != expected.scalar_type()) {
      return InvalidArgument("'{}' has another shape or dtype", name);
    }
  }
  const int64_t steps = state.at(kOptimizerSteps).item<int64_t>();
  if (steps < 0) return InvalidArgument("'{}' is {}", kOptimizerSteps, steps);
  for (auto& [name, tensor] : impl_->adapter.tensors)
    tensor.copy_(state.at(name));
  impl_->optimizer.Restore({steps, FloatsOf(state.at(kFirstMoment)),
                            FloatsOf(state.at(kSecondMoment))});
  impl_->steps = steps;
  return OkStatus();
}

}  // namespace tandem
