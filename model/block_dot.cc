#include "model/block_dot.h"

#include "model/block_quants.h"

namespace tandem {
namespace {

namespace bq = block_quants;

// Q6_K has two scales in a part and no minimum; all others one, and maybe one.
template <typename Format>
constexpr bool kTwoScales = std::is_same_v<Format, bq::Q6K>;

int DotOfIntegers(const int8_t* a, const int8_t* b, int count) {
  int sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < count; ++i)
    sum += static_cast<int>(a[i]) * static_cast<int>(b[i]);
  return sum;
}

// Of 32 weights with their {scale, minimum}, and 32 activations with theirs.
template <typename Format>
float DotOfPart(const int8_t* quants, const float* scales, const int8_t* values,
                const float* scale_and_sum) {
  if constexpr (kTwoScales<Format>) {
    const auto low = static_cast<float>(DotOfIntegers(quants, values, 16));
    const auto high =
        static_cast<float>(DotOfIntegers(quants + 16, values + 16, 16));
    return (scales[0] * low + scales[1] * high) * scale_and_sum[0];
  } else {
    const auto dot = static_cast<float>(DotOfIntegers(quants, values, 32));
    return scales[0] * scale_and_sum[0] * dot +
           Format::kMinimum * scales[1] * scale_and_sum[1];
  }
}

template <typename Format>
void DotPortable(const std::byte* const* rows, int64_t blocks, const Int8Row& x,
                 float* results) {
  for (int r = 0; r < kDotRows; ++r) {
    float sum = 0;
    for (int64_t b = 0; b < blocks; ++b) {
      const std::byte* block = rows[r] + b * Format::kBytes;
      float scales[2 * Format::kParts];
      Format::Scales(block, scales);
      for (int part = 0; part < Format::kParts; ++part) {
        int8_t quants[32];
        Format::Quants(block, part, quants);
        const int64_t p = b * Format::kParts + part;
        sum += DotOfPart<Format>(quants, scales + 2 * part,
                                 x.values.data() + 32 * p,
                                 x.scales.data() + 2 * p);
      }
    }
    results[r] = sum;
  }
}

#ifdef TANDEM_AVX2
// Eight sums of four products u s each. VNNI's instruction is spelt out: it
// needs no register that AVX2 lacks, and so no second compilation of all this.
template <bool kVnni>
TANDEM_AVX2 inline __m256i DotUnsigned(__m256i u, __m256i s) {
  if constexpr (kVnni) {
    __m256i sums = _mm256_setzero_si256();
    asm("%{evex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(u), "x"(s));
    return sums;
  }
  // Sums of two fit in 16 bits: 128 * 127 * 2 < 2^15.
  return _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1));
}

template <typename Format, bool kVnni>
TANDEM_AVX2 inline __m256 DotLanes(const std::byte* block, int part,
                                   __m256i values) {
  const __m256i quants = Format::Load(block, part);
  if constexpr (Format::kSigned) {
    // |q| times the value with q's sign.
    return _mm256_cvtepi32_ps(DotUnsigned<kVnni>(
        _mm256_abs_epi8(quants), _mm256_sign_epi8(values, quants)));
  }
  return _mm256_cvtepi32_ps(DotUnsigned<kVnni>(quants, values));
}

TANDEM_AVX2 inline __m128 LoadPair(const float* pair) {
  return _mm_castsi128_ps(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(pair)));
}

TANDEM_AVX2 inline __m256i LoadValues(const Int8Row& x, int64_t part) {
  return _mm256_loadu_si256(
      reinterpret_cast<const __m256i*>(x.values.data() + 32 * part));
}

TANDEM_AVX2 inline float SumOfLanes(__m256 lanes) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes),
                                 _mm256_extractf128_ps(lanes, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// Lane 1 of `minima` is what the minima add up to.
template <typename Format>
TANDEM_AVX2 inline float Total(__m256 lanes, __m128 minima) {
  return SumOfLanes(lanes) +
         Format::kMinimum * _mm_cvtss_f32(_mm_movehdup_ps(minima));
}

// Formats of one part: four rows at once, so that a row need not wait for the
// sum it adds to.
template <typename Format, bool kVnni>
TANDEM_AVX2 void DotSmallBlocks(const std::byte* const* rows, int64_t blocks,
                                const Int8Row& x, float* results) {
  __m256 sums[kDotRows];
  __m128 minima[kDotRows];
  for (int r = 0; r < kDotRows; ++r) {
    sums[r] = _mm256_setzero_ps();
    minima[r] = _mm_setzero_ps();
  }
  const int64_t next_rows = kDotRows * blocks * Format::kBytes;
  for (int64_t b = 0; b < blocks; ++b) {
    const __m256i values = LoadValues(x, b);
    const __m128 scale_and_sum = LoadPair(x.scales.data() + 2 * b);
#pragma GCC unroll 4
    for (int r = 0; r < kDotRows; ++r) {
      const std::byte* block = rows[r] + b * Format::kBytes;
      _mm_prefetch(reinterpret_cast<const char*>(block + next_rows),
                   _MM_HINT_T0);
      const __m128 scales =
          _mm_mul_ps(Format::LoadScales(block), scale_and_sum);
      sums[r] =
          _mm256_fmadd_ps(_mm256_broadcastss_ps(scales),
                          DotLanes<Format, kVnni>(block, 0, values), sums[r]);
      if constexpr (Format::kMinimum != 0)
        minima[r] = _mm_add_ps(minima[r], scales);
    }
  }
  for (int r = 0; r < kDotRows; ++r)
    results[r] = Total<Format>(sums[r], minima[r]);
}

// Formats of eight parts, whose scales are unpacked first; a row at a time.
template <typename Format, bool kVnni>
TANDEM_AVX2 float DotLargeBlocks(const std::byte* row, int64_t blocks,
                                 const Int8Row& x) {
  __m256 sums = _mm256_setzero_ps();
  __m128 minima = _mm_setzero_ps();
  for (int64_t b = 0; b < blocks; ++b, row += Format::kBytes) {
    float block_scales[2 * Format::kParts];
    Format::Scales(row, block_scales);
#pragma GCC unroll 8
    for (int part = 0; part < Format::kParts; ++part) {
      const int64_t p = b * Format::kParts + part;
      const __m256 lanes = DotLanes<Format, kVnni>(row, part, LoadValues(x, p));
      __m256 scales;
      if constexpr (kTwoScales<Format>) {
        const float* two = block_scales + 2 * part;
        scales = _mm256_mul_ps(
            _mm256_set_m128(_mm_set1_ps(two[1]), _mm_set1_ps(two[0])),
            _mm256_broadcast_ss(x.scales.data() + 2 * p));
      } else {
        const __m128 both = _mm_mul_ps(LoadPair(block_scales + 2 * part),
                                       LoadPair(x.scales.data() + 2 * p));
        minima = _mm_add_ps(minima, both);
        scales = _mm256_broadcastss_ps(both);
      }
      sums = _mm256_fmadd_ps(scales, lanes, sums);
    }
  }
  if constexpr (kTwoScales<Format>)
    return SumOfLanes(sums);
  else
    return Total<Format>(sums, minima);
}

template <typename Format, bool kVnni>
TANDEM_AVX2 void DotAvx2(const std::byte* const* rows, int64_t blocks,
                         const Int8Row& x, float* results) {
  if constexpr (Format::kParts == 1) {
    DotSmallBlocks<Format, kVnni>(rows, blocks, x, results);
  } else {
    for (int r = 0; r < kDotRows; ++r)
      results[r] = DotLargeBlocks<Format, kVnni>(rows[r], blocks, x);
  }
}
#endif

template <typename Format>
BlockDot Choose(InstructionSet set) {
#ifdef TANDEM_AVX2
  if (set == InstructionSet::kVnni) return DotAvx2<Format, true>;
  if (set == InstructionSet::kAvx2) return DotAvx2<Format, false>;
#endif
  return DotPortable<Format>;
}

}  // namespace

BlockDot FindBlockDot(GgmlType type, InstructionSet set) {
  switch (type) {
    case GgmlType::kQ4_0:
      return Choose<bq::Q4_0>(set);
    case GgmlType::kQ4_1:
      return Choose<bq::Q4_1>(set);
    case GgmlType::kQ5_0:
      return Choose<bq::Q5_0>(set);
    case GgmlType::kQ5_1:
      return Choose<bq::Q5_1>(set);
    case GgmlType::kQ8_0:
      return Choose<bq::Q8_0>(set);
    case GgmlType::kQ4_K:
      return Choose<bq::Q4K>(set);
    case GgmlType::kQ5_K:
      return Choose<bq::Q5K>(set);
    case GgmlType::kQ6_K:
      return Choose<bq::Q6K>(set);
    default:
      return nullptr;
  }
}

}  // namespace tandem
