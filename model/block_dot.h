// Dot products straight from quantised weights, in integers: what decoding one
// token at a time is made of.
#ifndef TANDEM_MODEL_BLOCK_DOT_H_
#define TANDEM_MODEL_BLOCK_DOT_H_

#include <cstddef>
#include <cstdint>

#include "model/ggml_blocks.h"
#include "model/instruction_set.h"
#include "model/int8_row.h"

namespace tandem {

inline constexpr int kDotRows = 4;

// results[r] = row r . x for kDotRows rows of weights, each `blocks` blocks
// long. Products of integers are exact and summed in fp32: the only rounding
// beyond that is of the activations, at most |w| scale / 2 for each.
using BlockDot = void (*)(const std::byte* const* rows, int64_t blocks,
                          const Int8Row& x, float* results);

// Null where there is no kernel for the format: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
// Q4_K, Q5_K and Q6_K have one for every instruction set. REQUIRES: the
// processor has `set`.
BlockDot FindBlockDot(GgmlType type, InstructionSet set = BestInstructionSet());

}  // namespace tandem

#endif  // TANDEM_MODEL_BLOCK_DOT_H_
