#include "model/int16_product.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "model/aten.h"
#include "model/int16_kernel.h"
#include "model/int16_panels.h"
#include "model/panel_source.h"

namespace tandem {
namespace {

// Panels of this depth (20 KiB) stay in the first-level cache beside six rows;
// x's rows, 128 KiB of them, and panels packed at a time, 160 KiB, in the
// second.
constexpr int64_t kMaxInt16Depth = 5 * kInt16Block;
constexpr int64_t kInt16RowBlockElements = 64 * 1024;
constexpr int64_t kInt16PanelsAtATime = 8;

// Calls use(first, count) for every block of a depth.
template <typename Use>
void ForEachBlock(int64_t depth, Use&& use) {
  for (int64_t first = 0; first < depth; first += kInt16Block)
    use(first, std::min(kInt16Block, depth - first));
}

// All of x, rounded. There is room for as many rows as the kernel reads.
class RoundedRows {
 public:
  explicit RoundedRows(const at::Tensor& x)
      : stride_(Int16Depth(x.size(1))),
        blocks_(CeilDivide(x.size(1), kInt16Block)),
        values_(Room<int16_t>(x.size(0), stride_)),
        scales_(Room<float>(x.size(0), blocks_)) {
    at::parallel_for(0, x.size(0), kKernelRows, [&](int64_t from, int64_t to) {
      for (int64_t row = from; row < to; ++row) Round(x, row);
    });
  }

  Int16Rows From(int64_t row, int64_t first) const {
    return {Values(row, first), Scales(row, first), stride_, blocks_};
  }

 private:
  template <typename T>
  static std::unique_ptr<T[]> Room(int64_t rows, int64_t columns) {
    return std::make_unique_for_overwrite<T[]>((rows + kKernelRows - 1) *
                                               columns);
  }
  void Round(const at::Tensor& x, int64_t row) const {
    const float* data = x.const_data_ptr<float>() + row * x.stride(0);
    ForEachBlock(x.size(1), [&](int64_t first, int64_t n) {
      *Scales(row, first) = RoundBlock(data + first, n, Values(row, first));
    });
  }
  int16_t* Values(int64_t row, int64_t first) const {
    return values_.get() + row * stride_ + first;
  }
  float* Scales(int64_t row, int64_t first) const {
    return scales_.get() + row * blocks_ + first / kInt16Block;
  }

  int64_t stride_, blocks_;
  std::unique_ptr<int16_t[]> values_;
  std::unique_ptr<float[]> scales_;
};

// A few rounded panels of one depth.
class RoundedPanels {
 public:
  void Round(const PanelSource& source, int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      ForEachBlock(source.depth, [&](int64_t first, int64_t n) {
        RoundBlock(source, first, n, p * kPanelColumns,
                   values_[p - begin] + first * kPanelColumns,
                   scales_[p - begin] + first / kInt16Block * kPanelColumns);
      });
  }
  Int16Panel At(int64_t index) const {
    return {values_[index], scales_[index]};
  }

 private:
  void RoundBlock(const PanelSource& source, int64_t first, int64_t depth,
                  int64_t column, int16_t* values, float* scales) {
    if (source.IsWholeBfloat16(column)) {
      const uint16_t* matrix = source.Bfloat16(first, column);
      if (source.HasNeighboursInRows())
        return RoundBfloat16Columns(matrix, source.line_stride(), depth, values,
                                    scales);
      if (depth % kBfloat16RowsStep == 0)
        return RoundBfloat16Rows(matrix, source.line_stride(), depth, values,
                                 scales);
    }
    source.Pack(first, depth, column, block_);
    RoundPanelBlock(block_, depth, values, scales);
  }

  alignas(32) float block_[kInt16Block * kPanelColumns];
  alignas(
      32) int16_t values_[kInt16PanelsAtATime][kMaxInt16Depth * kPanelColumns];
  float scales_[kInt16PanelsAtATime]
               [kMaxInt16Depth / kInt16Block * kPanelColumns];
};

// Kept by the thread that multiplies.
RoundedPanels& PanelsOfThisThread() {
  thread_local const auto panels = std::make_unique<RoundedPanels>();
  return *panels;
}

// Panels [begin, end), at most kInt16PanelsAtATime, of one piece of the depth.
void AddPanels(const RoundedRows& x, const PanelSource& source, int64_t begin,
               int64_t end, bool accumulate, at::Tensor& out) {
  RoundedPanels& panels = PanelsOfThisThread();
  panels.Round(source, begin, end);
  const int64_t most_rows =
      kInt16RowBlockElements / source.depth / kKernelRows * kKernelRows;
  float* const y = out.mutable_data_ptr<float>();
  for (int64_t row = 0; row < out.size(0); row += most_rows)
    for (int64_t p = begin; p < end; ++p) {
      const int64_t column = p * kPanelColumns;
      MultiplyByInt16Panel(
          x.From(row, source.first), std::min(most_rows, out.size(0) - row),
          panels.At(p - begin), source.depth, source.ColumnsFrom(column),
          accumulate, y + row * out.stride(0) + column, out.stride(0));
    }
}

// A matrix cut along its depth into even pieces of whole blocks.
std::vector<PanelSource> PiecesOf(const at::Tensor& matrix) {
  const int64_t depth = matrix.size(0);
  const int64_t pieces = CeilDivide(depth, kMaxInt16Depth);
  const int64_t step =
      CeilDivide(CeilDivide(depth, pieces), kInt16Block) * kInt16Block;
  std::vector<PanelSource> sources;
  for (int64_t first = 0; first < depth; first += step)
    sources.emplace_back(matrix, first, std::min(step, depth - first));
  return sources;
}

}  // namespace

void Int16Product(const at::Tensor& x, const at::Tensor& matrix,
                  bool accumulate, at::Tensor& out) {
  RECORD_FUNCTION("tandem::int16_product",
                  std::vector<c10::IValue>({x, matrix}));
  const RoundedRows rows(HasNeighbours(x) ? x : x.contiguous());
  const at::Tensor readable = WithNeighbours(matrix);
  const std::vector<PanelSource> pieces = PiecesOf(readable);
  const int64_t panels = CeilDivide(out.size(1), kPanelColumns);
  at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p += kInt16PanelsAtATime)
      for (const PanelSource& piece : pieces)
        AddPanels(rows, piece, p, std::min(p + kInt16PanelsAtATime, end),
                  accumulate || &piece != &pieces.front(), out);
  });
}

}  // namespace tandem
