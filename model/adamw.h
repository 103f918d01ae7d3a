// The optimiser of every LoRA adapter here.
#ifndef TANDEM_MODEL_ADAMW_H_
#define TANDEM_MODEL_ADAMW_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace tandem {

// AdamW (Loshchilov and Hutter, 2019), decoupled weight decay, bias correction.
struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

// The next `elements` parameters, which take `learning_rate_factor` times the
// step's learning rate.
struct ParameterGroup {
  int64_t elements;
  double learning_rate_factor = 1;
};

// Moments of a flat vector of parameters, and one fused, multi-threaded pass
// over them per step. The numbers are those of torch.optim.AdamW and do not
// depend on the number of threads.
class AdamW {
 public:
  // All that it remembers; the moments have the size of the parameters.
  struct State {
    int64_t steps = 0;
    std::vector<float> first_moment = {}, second_moment = {};
  };

  // REQUIRES: `groups` make up the parameters, or there are none.
  AdamW(const AdamWOptions& options, int64_t size,
        std::vector<ParameterGroup> groups = {});
  // One step on `gradient_scale * gradients` at `learning_rate` (the
  // schedule's, not the options'). REQUIRES: both spans have the size given.
  void Step(std::span<float> parameters, std::span<const float> gradients,
            double gradient_scale, double learning_rate);
  const State& state() const { return state_; }
  // REQUIRES: moments of the size given.
  void Restore(State state) { state_ = std::move(state); }

 private:
  AdamWOptions options_;
  std::vector<ParameterGroup> groups_;
  State state_;
};

// sqrt(sum of squares), summed in fp64 in a fixed order.
double NormL2(std::span<const float> values);

}  // namespace tandem

#endif  // TANDEM_MODEL_ADAMW_H_
