// Products of a few rows of activations with a frozen linear layer, straight
// from what its weight is stored in, without tensors. What FrozenProduct is to
// whole batches, this is to one token.
#ifndef TANDEM_MODEL_ROW_PRODUCT_H_
#define TANDEM_MODEL_ROW_PRODUCT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/block_dot.h"
#include "model/frozen_weight.h"
#include "model/int8_row.h"

namespace tandem {

// One row of activations, also in the form that blocks are multiplied by.
struct ActivationRow {
  std::vector<float> values;
  Int8Row rounded;  // empty unless asked for
  void Assign(const float* x, int64_t size, bool rounds);
};

// y = gain (W x + scale B (A x)) + bias. Immutable; threads share it and take
// different rows of W.
class RowProduct {
 public:
  // a [rank, in] and b [out, rank] both defined or both not; bias and gain
  // (DoRA's) [out] may be undefined. Vectors and factors are kept in fp32.
  RowProduct(const FrozenWeight& weight, const at::Tensor& bias,
             const at::Tensor& a, const at::Tensor& b, double scale,
             const at::Tensor& gain = {});

  int64_t out() const { return weight_.rows(); }
  // True where activations are rounded to 8 bits: formats of FindBlockDot.
  // Everything else is multiplied in fp32.
  bool rounds() const { return dot_ != nullptr; }

  // y[s][row] for each of `count` activations s, and rows [from, to).
  void Run(const ActivationRow* x, int64_t count, int64_t from, int64_t to,
           float* const* y) const;

 private:
  void DotFour(const int64_t* rows, const ActivationRow* x, int64_t count,
               float (*results)[kDotRows]) const;
  void AddFactors(const ActivationRow& x, int64_t from, int64_t to,
                  float* y) const;

  FrozenWeight weight_;
  BlockDot dot_ = nullptr;
  at::Tensor bias_, a_, b_, gain_;
  float scale_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_ROW_PRODUCT_H_
