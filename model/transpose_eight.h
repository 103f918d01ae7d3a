// The transpose of eight by eight numbers of 32 bits, for kernels on AVX2.
#ifndef TANDEM_MODEL_TRANSPOSE_EIGHT_H_
#define TANDEM_MODEL_TRANSPOSE_EIGHT_H_

#include "model/instruction_set.h"

#ifdef TANDEM_AVX2
#include <immintrin.h>

namespace tandem {

TANDEM_AVX2 inline __m256 LowPairsOf(__m256 a, __m256 b) {
  return _mm256_shuffle_ps(a, b, 0x44);
}
TANDEM_AVX2 inline __m256 HighPairsOf(__m256 a, __m256 b) {
  return _mm256_shuffle_ps(a, b, 0xee);
}

// Eight vectors of eight, in place.
TANDEM_AVX2 inline void TransposeEight(__m256* r) {
  __m256 t[8], u[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int half = 0; half < 2; ++half) {
      u[i + 2 * half] = LowPairsOf(t[i + half], t[i + 2 + half]);
      u[i + 2 * half + 1] = HighPairsOf(t[i + half], t[i + 2 + half]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
    r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
  }
}

}  // namespace tandem
#endif  // TANDEM_AVX2

#endif  // TANDEM_MODEL_TRANSPOSE_EIGHT_H_
