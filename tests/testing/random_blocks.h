// Random matrices in GGML blocks: random bits, scales of about 0.01.
#ifndef TANDEM_TESTS_TESTING_RANDOM_BLOCKS_H_
#define TANDEM_TESTS_TESTING_RANDOM_BLOCKS_H_

#include <memory>
#include <vector>

#include "common/random.h"
#include "model/frozen_weight.h"
#include "model/ggml_bytes.h"

namespace tandem::testing {

inline constexpr GgmlType kQuantisedTypes[] = {
    GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ5_0,  GgmlType::kQ5_1,
    GgmlType::kQ8_0, GgmlType::kQ2_K, GgmlType::kQ3_K,  GgmlType::kQ4_K,
    GgmlType::kQ5_K, GgmlType::kQ6_K, GgmlType::kIQ4_NL};

// Where a block's f16 scales are.
inline std::vector<int> ScaleOffsets(GgmlType type) {
  switch (type) {
    case GgmlType::kQ4_1:
    case GgmlType::kQ5_1:
    case GgmlType::kQ4_K:
    case GgmlType::kQ5_K:
      return {0, 2};
    case GgmlType::kQ2_K:
      return {80, 82};
    case GgmlType::kQ3_K:
      return {108};
    case GgmlType::kQ6_K:
      return {208};
    default:
      return {0};
  }
}

// [rows, columns]; columns must be whole blocks.
inline std::shared_ptr<BlockMatrix> RandomBlocks(GgmlType type, int64_t rows,
                                                 int64_t columns,
                                                 uint64_t seed) {
  SeededRandom random(seed);
  auto matrix = std::make_shared<BlockMatrix>();
  matrix->format = &FormatOf(type);
  matrix->rows = rows;
  matrix->columns = columns;
  const int64_t block_bytes = matrix->format->block_bytes;
  auto bytes = std::make_shared<std::vector<std::byte>>(
      rows * matrix->blocks_in_row() * block_bytes);
  for (std::byte& byte : *bytes)
    byte = static_cast<std::byte>(random.Below(256));
  for (size_t at = 0; at < bytes->size(); at += block_bytes)
    for (const int offset : ScaleOffsets(type))
      StoreHalf(static_cast<float>(0.01 * random.Normal()),
                bytes->data() + at + offset);
  matrix->data = bytes->data();
  matrix->owner = bytes;
  return matrix;
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_RANDOM_BLOCKS_H_
