// Masks of the dropout in front of LoRA's factors.
#ifndef TANDEM_MODEL_LORA_DROPOUT_H_
#define TANDEM_MODEL_LORA_DROPOUT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace tandem {

// [rows, columns] bool, false with this probability. Equal arguments give equal
// masks on any number of threads.
at::Tensor DropoutMask(int64_t rows, int64_t columns, double probability,
                       uint64_t seed);

}  // namespace tandem

#endif  // TANDEM_MODEL_LORA_DROPOUT_H_
