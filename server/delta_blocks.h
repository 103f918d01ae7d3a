// Arithmetic over the tensors of deltas, in blocks of a fixed size and order:
// blocks go to threads, but what is added to what never depends on them.
#ifndef TANDEM_SERVER_DELTA_BLOCKS_H_
#define TANDEM_SERVER_DELTA_BLOCKS_H_

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

namespace tandem {

// Tensors are fp32 and contiguous, of any alignment (views into a file).
using TensorList = std::vector<at::Tensor>;

// Sum of the squares of all elements, in double precision. Squares of fp32
// cannot overflow it, so that the result is finite exactly if every element is.
double SumOfSquares(const TensorList& tensors);

// For every tensor t the flattened sum over clients i of
// factors[i] * clients[i][t], in double precision, clients in the given order.
// REQUIRES: the same shapes at every client, given by `shapes`.
std::vector<std::vector<double>> WeightedSums(
    const TensorList& shapes, std::span<const TensorList> clients,
    std::span<const double> factors);

}  // namespace tandem

#endif  // TANDEM_SERVER_DELTA_BLOCKS_H_
