#include "model/frozen_weight.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "model/aten.h"

namespace tandem {
namespace {

// Rows that one thread decodes at least; and rows that are decoded before they
// are converted to a type other than fp32 and bf16.
constexpr int64_t kDecodeGrainRows = 16;
constexpr int64_t kStripRows = 64;

void DecodeRows(const BlockMatrix& blocks, int64_t from, at::Tensor& out) {
  float* values = out.mutable_data_ptr<float>();
  at::parallel_for(
      0, out.size(0), kDecodeGrainRows, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
          blocks.DecodeRow(from + row, values + row * blocks.columns);
      });
}

// The same in bf16: a row in fp32 stays in the first-level cache.
void DecodeRowsAsBfloat16(const BlockMatrix& blocks, int64_t from,
                          at::Tensor& out) {
  const GgmlFormat& bfloat16 = FormatOf(GgmlType::kBF16);
  auto* const bytes = static_cast<std::byte*>(out.mutable_data_ptr());
  const int64_t row_bytes = blocks.columns * bfloat16.block_bytes;
  at::parallel_for(0, out.size(0), kDecodeGrainRows,
                   [&](int64_t begin, int64_t end) {
                     std::vector<float> values(blocks.columns);
                     for (int64_t row = begin; row < end; ++row) {
                       blocks.DecodeRow(from + row, values.data());
                       bfloat16.encode(values.data(), blocks.columns,
                                       bytes + row * row_bytes);
                     }
                   });
}

}  // namespace

std::string WeightStorage::Name() const {
  return keeps_blocks ? "blocks" : at::toString(dtype);
}

void FrozenWeight::CopyRows(int64_t from, at::Tensor& out) const {
  const int64_t rows = out.size(0);
  if (!blocks_) {
    out.copy_(tensor_.narrow(0, from, rows));
  } else if (out.scalar_type() == at::kFloat && out.is_contiguous()) {
    DecodeRows(*blocks_, from, out);
  } else if (out.scalar_type() == at::kBFloat16 && out.is_contiguous()) {
    DecodeRowsAsBfloat16(*blocks_, from, out);
  } else {
    at::Tensor strip = at::empty({std::min(rows, kStripRows), columns()});
    for (int64_t done = 0; done < rows; done += kStripRows) {
      const int64_t n = std::min(kStripRows, rows - done);
      at::Tensor part = strip.narrow(0, 0, n);
      DecodeRows(*blocks_, from + done, part);
      out.narrow(0, done, n).copy_(part);
    }
  }
}

at::Tensor FrozenWeight::SelectRows(const at::Tensor& indices) const {
  if (!blocks_) return tensor_.index_select(0, indices).to(at::kFloat);
  const at::Tensor list = indices.contiguous();
  const int64_t* index = list.const_data_ptr<int64_t>();
  at::Tensor rows = at::empty({list.numel(), columns()}, at::kFloat);
  for (int64_t i = 0; i < list.numel(); ++i) {
    TORCH_CHECK_INDEX(index[i] >= 0 && index[i] < blocks_->rows, "row ",
                      index[i], " of ", blocks_->rows);
    blocks_->DecodeRow(index[i],
                       rows.mutable_data_ptr<float>() + i * columns());
  }
  return rows;
}

at::Tensor FrozenWeight::To(at::ScalarType dtype) const {
  if (!blocks_) return tensor_.to(dtype).contiguous();
  at::Tensor all = at::empty({rows(), columns()}, dtype);
  CopyRows(0, all);
  return all;
}

}  // namespace tandem
