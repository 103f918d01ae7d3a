// A weight matrix that is not trained: a tensor, or GGML blocks as a GGUF file
// holds them, which then need no conversion at start and no memory of their
// own.
#ifndef TANDEM_MODEL_FROZEN_WEIGHT_H_
#define TANDEM_MODEL_FROZEN_WEIGHT_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "model/ggml_blocks.h"

namespace tandem {

// What matrices are kept in.
struct WeightStorage {
  at::ScalarType dtype = at::kFloat;
  bool keeps_blocks = false;  // quantised ones stay as they are

  // NOLINTNEXTLINE(google-explicit-constructor)
  WeightStorage(at::ScalarType type, bool keep = false)
      : dtype(type), keeps_blocks(keep) {}
  std::string Name() const;  // "Float", "BFloat16", "blocks"
};

// [rows, columns] in GGML blocks; every row is whole blocks.
struct BlockMatrix {
  const GgmlFormat* format = nullptr;
  int64_t rows = 0, columns = 0;
  const std::byte* data = nullptr;
  // Which row of `data` is row i, where the file has another order than the
  // model; empty: row i.
  std::vector<int32_t> stored_rows;
  std::shared_ptr<const void> owner;  // of `data`: the mapped file

  int64_t blocks_in_row() const { return columns / format->block_values; }
  const std::byte* Row(int64_t row) const {
    const int64_t stored = stored_rows.empty() ? row : stored_rows[row];
    return data + stored * blocks_in_row() * format->block_bytes;
  }
  void DecodeRow(int64_t row, float* values) const {
    format->decode(Row(row), blocks_in_row(), values);
  }
};

// Copies share the matrix.
class FrozenWeight {
 public:
  FrozenWeight() = default;
  // NOLINTNEXTLINE(google-explicit-constructor)
  FrozenWeight(at::Tensor tensor) : tensor_(std::move(tensor)) {}
  explicit FrozenWeight(std::shared_ptr<const BlockMatrix> blocks)
      : blocks_(std::move(blocks)) {}

  int64_t rows() const { return blocks_ ? blocks_->rows : tensor_.size(0); }
  int64_t columns() const {
    return blocks_ ? blocks_->columns : tensor_.size(1);
  }
  // One of the two is there: undefined, or null, for the other.
  const at::Tensor& tensor() const { return tensor_; }
  const BlockMatrix* blocks() const { return blocks_.get(); }

  // Rows `from` and on, as many as `out` [n, columns] has, in its dtype.
  void CopyRows(int64_t from, at::Tensor& out) const;
  // The rows with these indices [n] int64: [n, columns] fp32. Throws
  // c10::Error for one that does not exist.
  at::Tensor SelectRows(const at::Tensor& indices) const;
  // All of it: a tensor of this dtype is shared, anything else converted.
  at::Tensor To(at::ScalarType dtype) const;

 private:
  at::Tensor tensor_;
  std::shared_ptr<const BlockMatrix> blocks_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_FROZEN_WEIGHT_H_
