#include "model/blocked_attention.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>

#include "model/aten.h"
#include "model/attention_rows.h"
#include "model/packed_product.h"
#include "model/product_kernel.h"

namespace tandem {
namespace {

// A multiple of the kernel's rows: their scores against 512 keys are 192 KiB.
constexpr int64_t kQueryBlock = 96;

// Keys are packed in whole panels.
constexpr int64_t InWholePanels(int64_t keys) {
  return CeilDivide(keys, kPanelColumns) * kPanelColumns;
}

// The rows of one head in one document, in a tensor of all.
struct HeadRows {
  float* data;
  int64_t stride;

  HeadRows(const at::Tensor& all, int64_t first_row, int64_t head,
           int64_t head_size)
      : data(static_cast<float*>(all.data_ptr()) + first_row * all.stride(0) +
             head * head_size),
        stride(all.stride(0)) {}

  float* Row(int64_t i) const { return data + i * stride; }
  StridedMatrix View(int64_t from = 0) const { return {Row(from), stride, 1}; }
};

// The first token that this one sees.
int64_t FirstSeen(int64_t token, int64_t window) {
  return window == 0 ? 0 : std::max<int64_t>(0, token - window + 1);
}

// Queries [from, to) of a document and the keys [first_key, to) in their reach,
// the first at a multiple of a panel.
struct QueryBlock {
  int64_t from, to, first_key, window;

  int64_t rows() const { return to - from; }
  int64_t keys() const { return to - first_key; }
  int64_t width() const { return InWholePanels(keys()); }
  // By query r of the block.
  SeenKeys SeenBy(int64_t r) const {
    const int64_t last = from + r;
    return {std::max<int64_t>(0, FirstSeen(last, window) - first_key),
            last + 1 - first_key, width()};
  }
};

std::vector<QueryBlock> QueryBlocksOf(int64_t length, int64_t window) {
  std::vector<QueryBlock> blocks;
  for (int64_t from = 0; from < length; from += kQueryBlock) {
    const int64_t reach = FirstSeen(from, window) / kPanelColumns;
    blocks.push_back({from, std::min(from + kQueryBlock, length),
                      reach * kPanelColumns, window});
  }
  return blocks;
}

// The transpose of a head's keys or values, in panels of 16 rows.
class PackedRows {
 public:
  PackedRows(const HeadRows& rows, int64_t length, int64_t head_size)
      : head_size_(head_size),
        panels_(at::empty({InWholePanels(length) * head_size})) {
    for (int64_t from = 0; from < length; from += kPanelColumns)
      PackRows(rows.Row(from), rows.stride,
               std::min(kPanelColumns, length - from), head_size,
               panels_.mutable_data_ptr<float>() + from * head_size);
  }

  // out [rows, width of the block] = x times these, where some query sees them.
  void Multiply(const HeadRows& x, const QueryBlock& block, float* out) const {
    const int64_t width = block.width();
    for (int64_t column = 0; column < width; column += kPanelColumns) {
      const int64_t key = block.first_key + column;
      const int64_t skipped =
          std::max<int64_t>(0, key - block.from) / kKernelRows * kKernelRows;
      MultiplyByPanel(x.View(block.from + skipped), block.rows() - skipped,
                      panels_.const_data_ptr<float>() + key * head_size_,
                      kPanelColumns, head_size_, /*accumulate=*/false,
                      out + skipped * width + column, width);
    }
  }

 private:
  int64_t head_size_;
  at::Tensor panels_;
};

// out = weights [rows, keys] times the keys' rows.
void WeighKeys(const float* weights, const QueryBlock& block,
               const HeadRows& keys, int64_t head_size, const HeadRows& out) {
  const int64_t width = block.width();
  for (int64_t r = 0; r < block.rows(); r += kKernelRows) {
    const int64_t rows = std::min(kKernelRows, block.rows() - r);
    const int64_t depth = block.SeenBy(r + rows - 1).to;
    for (int64_t column = 0; column < head_size; column += kPanelColumns)
      MultiplyByPanel({weights + r * width, width, 1}, rows,
                      keys.Row(block.first_key) + column, keys.stride, depth,
                      /*accumulate=*/false, out.Row(block.from + r) + column,
                      out.stride);
  }
}

// out of the keys += weights^T [keys, rows] times the queries' rows.
void AddQueries(const float* weights, const QueryBlock& block,
                const HeadRows& queries, int64_t head_size,
                const HeadRows& out) {
  const int64_t width = block.width();
  for (int64_t k = 0; k < block.keys(); k += kKernelRows) {
    const int64_t rows = std::min(kKernelRows, block.keys() - k);
    const int64_t first =
        std::max<int64_t>(0, block.first_key + k - block.from);
    const StridedMatrix seen = {weights + first * width + k, 1, width};
    for (int64_t column = 0; column < head_size; column += kPanelColumns)
      MultiplyByPanel(seen, rows, queries.Row(block.from + first) + column,
                      queries.stride, block.rows() - first,
                      /*accumulate=*/true,
                      out.Row(block.first_key + k) + column, out.stride);
  }
}

// What one head of one document is made of.
struct HeadOfDocument {
  int64_t first_token, length, head_size;
  float scale;
  int64_t window;
  HeadRows query, key, value, output;
  float* log_sum_exp;  // [length]

  float* Scores(at::Tensor& room, const QueryBlock& block) const {
    const int64_t elements = block.rows() * block.width();
    if (!room.defined() || room.numel() < elements)
      room = at::empty({elements});
    return room.mutable_data_ptr<float>();
  }

  void Forward() const {
    const PackedRows keys(key, length, head_size);
    at::Tensor room;
    for (const QueryBlock& block : QueryBlocksOf(length, window)) {
      float* scores = Scores(room, block);
      keys.Multiply(query, block, scores);
      for (int64_t r = 0; r < block.rows(); ++r)
        log_sum_exp[block.from + r] =
            SoftmaxOfRow(scores + r * block.width(), block.SeenBy(r), scale);
      WeighKeys(scores, block, value, head_size, output);
    }
  }

  // d_key and d_value are this head's own, and zero.
  void Backward(const HeadRows& grad, const HeadRows& d_query,
                const HeadRows& d_key, const HeadRows& d_value) const {
    const PackedRows keys(key, length, head_size),
        values(value, length, head_size);
    at::Tensor probability_room, gradient_room;
    for (const QueryBlock& block : QueryBlocksOf(length, window)) {
      float* probabilities = Scores(probability_room, block);
      float* grads = Scores(gradient_room, block);
      keys.Multiply(query, block, probabilities);
      values.Multiply(grad, block, grads);
      for (int64_t r = 0; r < block.rows(); ++r)
        RowGradients(block, r, grad, probabilities + r * block.width(),
                     grads + r * block.width());
      AddQueries(probabilities, block, grad, head_size, d_value);
      AddQueries(grads, block, query, head_size, d_key);
      WeighKeys(grads, block, key, head_size, d_query);
    }
  }

 private:
  void RowGradients(const QueryBlock& block, int64_t r, const HeadRows& grad,
                    float* probabilities, float* grads) const {
    const int64_t i = block.from + r;
    const SeenKeys seen = block.SeenBy(r);
    ProbabilitiesOfRow(probabilities, seen, scale, log_sum_exp[i]);
    ScoreGradientsOfRow(probabilities, grads, seen, scale,
                        DotOfRows(grad.Row(i), output.Row(i), head_size));
  }
};

// Calls use(head, document's head) for every head of every document, on all
// threads: heads in the outer loop, so that threads have equal shares.
template <typename Use>
void ForEachHead(const at::Tensor& query, const at::Tensor& key,
                 const at::Tensor& value, const AttentionResult& result,
                 const AttentionPlan& plan, Use&& use) {
  const int64_t size = plan.head_size, heads = query.size(1) / size,
                group = query.size(1) / key.size(1),
                documents = static_cast<int64_t>(plan.offsets.size()) - 1;
  const auto call = [&](int64_t head, int64_t document) {
    const int64_t first = plan.offsets[document];
    const int64_t kv = head / group;
    use(head,
        HeadOfDocument{first, plan.offsets[document + 1] - first, size,
                       static_cast<float>(plan.scale), plan.window,
                       HeadRows(query, first, head, size),
                       HeadRows(key, first, kv, size),
                       HeadRows(value, first, kv, size),
                       HeadRows(result.output, first, head, size),
                       static_cast<float*>(result.log_sum_exp.data_ptr()) +
                           head * query.size(0) + first});
  };
  at::parallel_for(0, heads * documents, 1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) call(i / documents, i % documents);
  });
}

// Sums the heads that share a key-value head: [tokens, heads * head_size] ->
// [tokens, key_value_heads * head_size].
at::Tensor SumOfGroups(const at::Tensor& heads, int64_t width,
                       int64_t head_size) {
  if (heads.size(1) == width) return heads;
  return heads.view({heads.size(0), width / head_size, -1, head_size})
      .sum(2)
      .view({heads.size(0), width});
}

}  // namespace

bool BlocksAttention(const at::Tensor& query, int64_t head_size) {
  return PrefersPacking() && query.scalar_type() == at::kFloat &&
         head_size % kPanelColumns == 0;
}

AttentionResult BlockedAttention(const at::Tensor& query, const at::Tensor& key,
                                 const at::Tensor& value,
                                 const AttentionPlan& plan) {
  RECORD_USER_SCOPE("BlockedAttention");
  const int64_t heads = query.size(1) / plan.head_size;
  AttentionResult result = {at::empty_like(query),
                            at::empty({heads, query.size(0)})};
  ForEachHead(query, key, value, result, plan,
              [](int64_t, const HeadOfDocument& head) { head.Forward(); });
  return result;
}

AttentionGradients BlockedAttentionBackward(const at::Tensor& grad,
                                            const at::Tensor& query,
                                            const at::Tensor& key,
                                            const at::Tensor& value,
                                            const AttentionResult& result,
                                            const AttentionPlan& plan) {
  const int64_t size = plan.head_size;
  at::Tensor d_query = at::empty_like(query);
  at::Tensor d_key = at::zeros_like(query), d_value = at::zeros_like(query);
  ForEachHead(query, key, value, result, plan,
              [&](int64_t head, const HeadOfDocument& document) {
                const auto rows = [&](const at::Tensor& all) {
                  return HeadRows(all, document.first_token, head, size);
                };
                document.Backward(rows(grad), rows(d_query), rows(d_key),
                                  rows(d_value));
              });
  return {d_query, SumOfGroups(d_key, key.size(1), size),
          SumOfGroups(d_value, key.size(1), size)};
}

}  // namespace tandem
