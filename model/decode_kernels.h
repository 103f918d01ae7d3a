// What one token at a time is computed with, on plain fp32 arrays and on the
// calling thread alone: AVX2 where the processor has it.
#ifndef TANDEM_MODEL_DECODE_KERNELS_H_
#define TANDEM_MODEL_DECODE_KERNELS_H_

#include <cstdint>

namespace tandem {

// results[r] = rows[r] . x over `size` elements, for four rows. bf16 as its
// bits.
void DotFourRows(const float* const* rows, int64_t size, const float* x,
                 float* results);
void DotFourRows(const uint16_t* const* rows, int64_t size, const float* x,
                 float* results);

// y = x weight / sqrt(mean(x^2) + epsilon); y may be x.
void NormaliseVector(const float* x, const float* weight, double epsilon,
                     int64_t size, float* y);

// Turns x [2 * half] in place: (a, b) becomes (a cos - b sin, b cos + a sin)
// for each element a of the first half and b of the second.
void RotateHead(const float* cosine, const float* sine, int64_t half, float* x);

// softmax(scale q k^T) v of one head. keys, values: [length, head_size];
// scores: room for `length`; out: [head_size].
void AttendHead(const float* query, const float* keys, const float* values,
                int64_t length, int64_t head_size, float scale, float* scores,
                float* out);

// gate[i] = silu(gate[i]) * up[i].
void GateSilu(float* gate, const float* up, int64_t size);
// gate[i] = gelu(gate[i]) * up[i], by the tanh formula.
void GateGelu(float* gate, const float* up, int64_t size);

}  // namespace tandem

#endif  // TANDEM_MODEL_DECODE_KERNELS_H_
