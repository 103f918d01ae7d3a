#include "server/delta_blocks.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "model/aten.h"

namespace tandem {
namespace {

constexpr int64_t kBlockElements = 65536;
constexpr int64_t kCopyElements = 4096;

struct Block {
  size_t tensor;
  int64_t begin;
  int64_t count;
};

std::vector<Block> SplitIntoBlocks(const TensorList& tensors) {
  std::vector<Block> blocks;
  for (size_t t = 0; t < tensors.size(); ++t) {
    for (int64_t begin = 0; begin < tensors[t].numel();
         begin += kBlockElements) {
      blocks.push_back(
          {t, begin, std::min(kBlockElements, tensors[t].numel() - begin)});
    }
  }
  return blocks;
}

// Calls visit(index in block, value) for every element. The copy gives values
// in a peer's file, whose header may have any length, the alignment of floats.
template <typename Visit>
void ForEachElement(const at::Tensor& tensor, const Block& block,
                    Visit&& visit) {
  const auto* bytes = static_cast<const char*>(tensor.const_data_ptr()) +
                      block.begin * sizeof(float);
  std::array<float, kCopyElements> values;
  for (int64_t done = 0; done < block.count; done += kCopyElements) {
    const int64_t count = std::min(kCopyElements, block.count - done);
    std::memcpy(values.data(), bytes + done * sizeof(float),
                count * sizeof(float));
    for (int64_t i = 0; i < count; ++i) {
      visit(done + i, static_cast<double>(values[i]));
    }
  }
}

}  // namespace

double SumOfSquares(const TensorList& tensors) {
  const std::vector<Block> blocks = SplitIntoBlocks(tensors);
  std::vector<double> partial(blocks.size(), 0);
#pragma omp parallel for schedule(static)
  for (size_t b = 0; b < blocks.size(); ++b) {
    double sum = 0;
    ForEachElement(tensors[blocks[b].tensor], blocks[b],
                   [&sum](int64_t, double value) { sum += value * value; });
    partial[b] = sum;
  }
  double total = 0;
  for (double sum : partial) total += sum;
  return total;
}

std::vector<std::vector<double>> WeightedSums(
    const TensorList& shapes, std::span<const TensorList> clients,
    std::span<const double> factors) {
  std::vector<std::vector<double>> sums;
  for (const at::Tensor& tensor : shapes) sums.emplace_back(tensor.numel(), 0);
  const std::vector<Block> blocks = SplitIntoBlocks(shapes);
#pragma omp parallel for schedule(static)
  for (size_t b = 0; b < blocks.size(); ++b) {
    const Block& block = blocks[b];
    double* sum = sums[block.tensor].data() + block.begin;
    for (size_t i = 0; i < clients.size(); ++i) {
      const double factor = factors[i];
      ForEachElement(clients[i][block.tensor], block,
                     [sum, factor](int64_t at, double value) {
                       sum[at] += factor * value;
                     });
    }
  }
  return sums;
}

}  // namespace tandem
