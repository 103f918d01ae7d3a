#include "model/packed_product.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>

#include "model/aten.h"
#include "model/instruction_set.h"
#include "model/panel_source.h"
#include "model/product_kernel.h"

namespace tandem {
namespace {

// Panels of this depth (24 KiB) pass through the first-level cache while x's
// rows, 128 KiB of them, and the panels packed at a time, 384 KiB, stay in the
// second.
constexpr int64_t kMaxPanelDepth = 384;
constexpr int64_t kBlockElements = 32 * 1024;
constexpr int64_t kPackedElements = 96 * 1024;
// With fewer rows than this, packing a matrix costs more than it saves; it is
// read as it is, so many rows at a time, which the processor prefetches.
constexpr int64_t kLeastRows = 32;
constexpr int64_t kUnpackedDepth = 8;
// With fewer columns, threads share the rows, and panels are as deep as they
// can be: x is read once from front to back.
constexpr int64_t kNarrowColumns = 64;
constexpr int64_t kNarrowPanelDepth = kPackedElements / kNarrowColumns;

// Elements [first, first + depth) of a term's inner dimension.
struct Piece {
  StridedMatrix x;  // from the first of them on
  PanelSource matrix;

  int64_t PanelElements() const { return matrix.depth * kPanelColumns; }
};

StridedMatrix StridedViewOf(const at::Tensor& x) {
  return {x.const_data_ptr<float>(), x.stride(0), x.stride(1)};
}

// Pieces that are multiplied in one go over `out`: as deep as a panel, about.
using ProductPass = std::vector<Piece>;

std::vector<ProductPass> PassesOf(const std::vector<ProductTerm>& terms,
                                  int64_t max_depth) {
  std::vector<ProductPass> passes;
  int64_t room = 0;
  for (const ProductTerm& term : terms) {
    const int64_t inner = term.x.size(1);
    const int64_t pieces = CeilDivide(inner, max_depth);
    const int64_t depth = CeilDivide(CeilDivide(inner, pieces), 8) * 8;
    for (int64_t first = 0; first < inner; first += depth) {
      const int64_t n = std::min(depth, inner - first);
      if (n > room) {
        passes.emplace_back();
        room = max_depth + kPanelColumns;
      }
      room -= n;
      passes.back().push_back({StridedViewOf(term.x).At(0, first),
                               PanelSource(term.matrix, first, n)});
    }
  }
  return passes;
}

// Room for panels, kept by the thread that multiplies.
float* PanelBuffer() {
  thread_local const at::Tensor buffer =
      at::empty({kPackedElements + 2 * kPanelColumns * kMaxPanelDepth});
  return buffer.mutable_data_ptr<float>();
}

// Where results go: rows [first, first + rows) of `out`.
struct OutputRows {
  float* data;
  int64_t stride, first, rows, columns;
};

// The last panel's results, of which only `columns` exist.
void MultiplyByLastPanel(const StridedMatrix& x, int64_t rows,
                         const float* panel, int64_t depth, int64_t columns,
                         bool accumulate, float* out, int64_t out_stride) {
  float sums[kKernelRows * kPanelColumns];
  for (int64_t from = 0; from < rows; from += kKernelRows) {
    const int64_t n = std::min(kKernelRows, rows - from);
    MultiplyByPanel(x.At(from, 0), n, panel, kPanelColumns, depth,
                    /*accumulate=*/false, sums, kPanelColumns);
    for (int64_t r = 0; r < n; ++r) {
      float* row = out + (from + r) * out_stride;
      for (int64_t c = 0; c < columns; ++c)
        row[c] = sums[r * kPanelColumns + c] + (accumulate ? row[c] : 0);
    }
  }
}

void MultiplyBlock(const Piece& piece, const float* panel, int64_t row,
                   int64_t rows, int64_t column, bool accumulate,
                   const OutputRows& out) {
  const StridedMatrix x = piece.x.At(out.first + row, 0);
  float* result = out.data + (out.first + row) * out.stride + column;
  const int64_t columns = piece.matrix.ColumnsFrom(column);
  if (columns == kPanelColumns) {
    MultiplyByPanel(x, rows, panel, kPanelColumns, piece.matrix.depth,
                    accumulate, result, out.stride);
  } else {
    MultiplyByLastPanel(x, rows, panel, piece.matrix.depth, columns, accumulate,
                        result, out.stride);
  }
}

// Panels [begin, end) of all pieces, times blocks of rows.
void MultiplyPanels(const ProductPass& pass, int64_t begin, int64_t end,
                    bool accumulate, const OutputRows& out) {
  float* const panels = PanelBuffer();
  float* next = panels;
  int64_t depth = 0;
  for (const Piece& piece : pass) depth += piece.matrix.depth;
  for (int64_t p = begin; p < end; ++p)
    for (const Piece& piece : pass) {
      piece.matrix.Pack(0, piece.matrix.depth, p * kPanelColumns, next);
      next += piece.PanelElements();
    }
  const int64_t block =
      std::max<int64_t>(1, kBlockElements / depth / kKernelRows) * kKernelRows;
  for (int64_t row = 0; row < out.rows; row += block) {
    const int64_t rows = std::min(block, out.rows - row);
    next = panels;
    for (int64_t p = begin; p < end; ++p)
      for (const Piece& piece : pass) {
        MultiplyBlock(piece, next, row, rows, p * kPanelColumns,
                      accumulate || &piece != &pass.front(), out);
        next += piece.PanelElements();
      }
  }
}

void MultiplyPacked(const std::vector<ProductPass>& passes, int64_t begin,
                    int64_t end, bool accumulate, const OutputRows& out) {
  const int64_t group = kPackedElements / (kMaxPanelDepth * kPanelColumns);
  for (int64_t from = begin; from < end; from += group)
    for (const ProductPass& pass : passes)
      MultiplyPanels(pass, from, std::min(from + group, end),
                     accumulate || &pass != &passes.front(), out);
}

// Panels [begin, end) of a row-major fp32 matrix of whole panels, read where
// they are.
void MultiplyUnpacked(const ProductTerm& term, int64_t begin, int64_t end,
                      bool accumulate, const OutputRows& out) {
  const StridedMatrix x = StridedViewOf(term.x);
  const int64_t stride = term.matrix.stride(0), inner = term.x.size(1);
  for (int64_t first = 0; first < inner; first += kUnpackedDepth) {
    const float* rows = term.matrix.const_data_ptr<float>() + first * stride;
    for (int64_t p = begin; p < end; ++p)
      MultiplyByPanel(x.At(0, first), out.rows, rows + p * kPanelColumns,
                      stride, std::min(kUnpackedDepth, inner - first),
                      accumulate || first > 0, out.data + p * kPanelColumns,
                      out.stride);
  }
}

void SumPacked(std::vector<ProductTerm> terms, bool accumulate,
               at::Tensor& out) {
  RECORD_FUNCTION(
      "tandem::packed_product",
      std::vector<c10::IValue>({terms.front().x, terms.front().matrix}));
  const OutputRows all = {out.mutable_data_ptr<float>(), out.stride(0), 0,
                          out.size(0), out.size(1)};
  const int64_t panels = CeilDivide(all.columns, kPanelColumns);
  if (all.rows < kLeastRows) {
    at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
      for (const ProductTerm& term : terms)
        MultiplyUnpacked(term, begin, end,
                         accumulate || &term != &terms.front(), all);
    });
    return;
  }
  for (ProductTerm& term : terms) term.matrix = WithNeighbours(term.matrix);
  const bool narrow = all.columns < kNarrowColumns;
  const std::vector<ProductPass> passes =
      PassesOf(terms, narrow ? kNarrowPanelDepth : kMaxPanelDepth);
  if (narrow) {
    at::parallel_for(0, all.rows, kLeastRows, [&](int64_t from, int64_t to) {
      const OutputRows part = {all.data, all.stride, from, to - from,
                               all.columns};
      MultiplyPacked(passes, 0, panels, accumulate, part);
    });
  } else {
    at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
      MultiplyPacked(passes, begin, end, accumulate, all);
    });
  }
}

// By LibTorch, in the factors' type.
void AddTerm(const ProductTerm& term, bool accumulate, at::Tensor& out) {
  if (term.x.scalar_type() != out.scalar_type()) {
    const at::Tensor product = at::mm(term.x, term.matrix);
    accumulate ? out.add_(product) : out.copy_(product);
  } else if (accumulate) {
    out.addmm_(term.x, term.matrix);
  } else {
    at::mm_out(out, term.x, term.matrix);
  }
}

}  // namespace

bool PrefersPacking() {
#ifdef TANDEM_AVX2
  static const bool prefers = BestInstructionSet() == InstructionSet::kAvx2 &&
                              !__builtin_cpu_supports("avx512f");
  return prefers;
#else
  return false;
#endif
}

bool PacksWell(const ProductTerm& term) {
  const auto type = term.matrix.scalar_type();
  if (!PrefersPacking() || term.x.scalar_type() != at::kFloat) return false;
  if (term.x.size(0) < kLeastRows)
    return type == at::kFloat && term.matrix.stride(1) == 1 &&
           term.matrix.size(1) % kPanelColumns == 0;
  return type == at::kFloat || type == at::kBFloat16;
}

void SumOfProducts(const std::vector<ProductTerm>& terms, bool accumulate,
                   at::Tensor& out) {
  if (out.scalar_type() == at::kFloat &&
      std::all_of(terms.begin(), terms.end(), PacksWell))
    return SumPacked(terms, accumulate, out);
  for (const ProductTerm& term : terms)
    AddTerm(term, accumulate || &term != &terms.front(), out);
}

at::Tensor Product(const at::Tensor& x, const at::Tensor& matrix) {
  at::Tensor out = at::empty({x.size(0), matrix.size(1)}, x.options());
  SumOfProducts({{x, matrix}}, /*accumulate=*/false, out);
  return out;
}

}  // namespace tandem
