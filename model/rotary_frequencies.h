// The frequencies with which rotary embeddings turn, and their scaling for
// longer contexts.
#ifndef TANDEM_MODEL_ROTARY_FREQUENCIES_H_
#define TANDEM_MODEL_ROTARY_FREQUENCIES_H_

#include <cstdint>
#include <vector>

#include "common/status.h"
#include "model/decoder_config.h"

namespace tandem {

// theta^(-2 i / head_size) for i < head_size / 2, each divided by its divisor,
// in fp32 as transformers computes it.
std::vector<float> RotaryFrequencies(int64_t head_size, double theta,
                                     const RopeScaling& scaling);

// What scaling divides each frequency by: [head_size / 2], llama.cpp's
// rope_freqs.weight. kLinear: the factor (Chen et al., 2023). kLlama3 (Llama
// 3.1): 1 for short waves, the factor for long ones; between, 1 / divisor is
// linear in the frequency.
std::vector<float> RotaryDivisors(int64_t head_size, double theta,
                                  const RopeScaling& scaling);

// The kLlama3 scaling, with low_frequency_factor 1, that has these divisors.
// InvalidArgument where there is none, or more than one.
StatusOr<RopeScaling> Llama3Scaling(const std::vector<float>& divisors,
                                    int64_t head_size, double theta);

}  // namespace tandem

#endif  // TANDEM_MODEL_ROTARY_FREQUENCIES_H_
