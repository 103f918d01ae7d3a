// Whether a delta fits the global adapter.
#ifndef TANDEM_SERVER_DELTA_CHECK_H_
#define TANDEM_SERVER_DELTA_CHECK_H_

#include <string_view>

#include "common/status.h"
#include "model/tensor_map.h"

namespace tandem {

// True for PEFT's names of the factor A (".lora_A.weight" at the end).
bool IsLoraA(std::string_view tensor_name);

// InvalidArgument, naming the first tensor that is at fault, unless `delta` has
// exactly the names and shapes of `global`, in fp32. With freeze_lora_a the
// factors A may be missing from it, and must be zero where they are there.
Status CheckDelta(const TensorMap& global, const TensorMap& delta,
                  bool freeze_lora_a);

}  // namespace tandem

#endif  // TANDEM_SERVER_DELTA_CHECK_H_
