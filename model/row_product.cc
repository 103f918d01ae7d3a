#include "model/row_product.h"

#include <algorithm>

#include "model/aten.h"
#include "model/decode_kernels.h"

namespace tandem {
namespace {

at::Tensor InFloat(const at::Tensor& x) {
  return x.defined() ? x.detach().to(at::kFloat).contiguous() : x;
}

// `rows` as pointers into a matrix [.., columns].
template <typename T>
void RowsOf(const T* data, int64_t columns, const int64_t* rows,
            const T** pointers) {
  for (int r = 0; r < kDotRows; ++r) pointers[r] = data + rows[r] * columns;
}

// Four decoded rows, kept by the thread that multiplies.
void DecodeFour(const BlockMatrix& blocks, const int64_t* rows,
                const float** pointers) {
  thread_local std::vector<float> buffer;
  buffer.resize(kDotRows * blocks.columns);
  for (int r = 0; r < kDotRows; ++r) {
    float* values = buffer.data() + r * blocks.columns;
    blocks.DecodeRow(rows[r], values);
    pointers[r] = values;
  }
}

}  // namespace

void ActivationRow::Assign(const float* x, int64_t size, bool rounds) {
  values.assign(x, x + size);
  if (rounds) rounded.Assign(x, size);
}

RowProduct::RowProduct(const FrozenWeight& weight, const at::Tensor& bias,
                       const at::Tensor& a, const at::Tensor& b, double scale,
                       const at::Tensor& gain)
    : weight_(weight),
      bias_(InFloat(bias)),
      a_(InFloat(a)),
      b_(InFloat(b)),
      gain_(InFloat(gain)),
      scale_(static_cast<float>(scale)) {
  if (weight.blocks()) {
    dot_ = FindBlockDot(weight.blocks()->format->type);
  } else if (weight.tensor().scalar_type() != at::kBFloat16) {
    weight_ = weight.To(at::kFloat);
  }
}

void RowProduct::DotFour(const int64_t* rows, const ActivationRow* x,
                         int64_t count, float (*results)[kDotRows]) const {
  const int64_t columns = weight_.columns();
  if (dot_) {
    const BlockMatrix& blocks = *weight_.blocks();
    const std::byte* pointers[kDotRows];
    for (int r = 0; r < kDotRows; ++r) pointers[r] = blocks.Row(rows[r]);
    for (int64_t s = 0; s < count; ++s)
      dot_(pointers, blocks.blocks_in_row(), x[s].rounded, results[s]);
  } else if (!weight_.blocks() &&
             weight_.tensor().scalar_type() == at::kBFloat16) {
    const uint16_t* pointers[kDotRows];
    RowsOf(static_cast<const uint16_t*>(weight_.tensor().const_data_ptr()),
           columns, rows, pointers);
    for (int64_t s = 0; s < count; ++s)
      DotFourRows(pointers, columns, x[s].values.data(), results[s]);
  } else {
    const float* pointers[kDotRows];
    if (weight_.blocks()) {
      DecodeFour(*weight_.blocks(), rows, pointers);
    } else {
      RowsOf(weight_.tensor().const_data_ptr<float>(), columns, rows, pointers);
    }
    for (int64_t s = 0; s < count; ++s)
      DotFourRows(pointers, columns, x[s].values.data(), results[s]);
  }
}

void RowProduct::Run(const ActivationRow* x, int64_t count, int64_t from,
                     int64_t to, float* const* y) const {
  thread_local std::vector<float> buffer;
  buffer.resize(count * kDotRows);
  auto* results = reinterpret_cast<float (*)[kDotRows]>(buffer.data());
  for (int64_t row = from; row < to; row += kDotRows) {
    int64_t rows[kDotRows];  // beyond the last: the last again, left unused
    for (int r = 0; r < kDotRows; ++r) rows[r] = std::min(row + r, to - 1);
    DotFour(rows, x, count, results);
    const int64_t used = std::min<int64_t>(kDotRows, to - row);
    for (int64_t s = 0; s < count; ++s)
      std::copy(results[s], results[s] + used, y[s] + row);
  }
  for (int64_t s = 0; s < count; ++s) {
    if (a_.defined()) AddFactors(x[s], from, to, y[s]);
    if (gain_.defined()) {
      const float* gain = gain_.const_data_ptr<float>();
      for (int64_t row = from; row < to; ++row) y[s][row] *= gain[row];
    }
    if (bias_.defined()) {
      const float* bias = bias_.const_data_ptr<float>();
      for (int64_t row = from; row < to; ++row) y[s][row] += bias[row];
    }
  }
}

// Every thread computes A x for itself: rank rows are few.
void RowProduct::AddFactors(const ActivationRow& x, int64_t from, int64_t to,
                            float* y) const {
  const int64_t rank = a_.size(0), in = a_.size(1);
  const float* a = a_.const_data_ptr<float>();
  const float* b = b_.const_data_ptr<float>();
  thread_local std::vector<float> reduced;
  reduced.resize(rank + kDotRows);
  for (int64_t j = 0; j < rank; j += kDotRows) {
    const float* pointers[kDotRows];
    for (int r = 0; r < kDotRows; ++r)
      pointers[r] = a + std::min<int64_t>(j + r, rank - 1) * in;
    DotFourRows(pointers, in, x.values.data(), reduced.data() + j);
  }
  for (int64_t row = from; row < to; ++row) {
    float sum = 0;
    for (int64_t j = 0; j < rank; ++j) sum += b[row * rank + j] * reduced[j];
    y[row] += scale_ * sum;
  }
}

}  // namespace tandem
