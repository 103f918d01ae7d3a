// Panels of a bf16 matrix, rounded as RoundPanelBlock (model/int16_kernel.h)
// rounds them, without going by way of fp32: half the work.
#ifndef TANDEM_MODEL_INT16_PANELS_H_
#define TANDEM_MODEL_INT16_PANELS_H_

#include <cstdint>

namespace tandem {

// kPanelColumns columns of bf16, `depth` rows of at most a block; elements of a
// row are neighbours and rows `stride` apart. Gives RoundPanelBlock's values
// and scales. Needs HasAvx2().
void RoundBfloat16Columns(const uint16_t* matrix, int64_t stride, int64_t depth,
                          int16_t* values, float* scales);

// The same where elements of a column are neighbours, and columns `stride`
// apart. REQUIRES: depth is a multiple of this.
inline constexpr int64_t kBfloat16RowsStep = 16;
void RoundBfloat16Rows(const uint16_t* matrix, int64_t stride, int64_t depth,
                       int16_t* values, float* scales);

}  // namespace tandem

#endif  // TANDEM_MODEL_INT16_PANELS_H_
