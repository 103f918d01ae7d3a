// Which tensors a decoder has, what they are called in a Hugging Face folder
// and in a GGUF, and which shapes they take.
#ifndef TANDEM_MODEL_WEIGHT_LAYOUT_H_
#define TANDEM_MODEL_WEIGHT_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/decoder_config.h"
#include "model/tensor_map.h"

namespace tandem {

struct WeightLayout {
  std::string name;            // Hugging Face's
  std::string gguf_name;       // llama.cpp's
  std::vector<int64_t> shape;  // vectors [d], matrices [out, in]
  // q_proj and k_proj of some architectures: the heads whose rows a GGUF holds
  // interleaved (below); else 0.
  int64_t interleaved_heads = 0;
  // A GGUF's values are ours plus this (Gemma's norms).
  double gguf_offset = 0;

  int64_t rows() const { return shape.front(); }
  int64_t columns() const { return shape.size() == 1 ? 1 : shape.back(); }
  // The row of a Hugging Face tensor that is this one of the GGUF's.
  int64_t HuggingFaceRowOf(int64_t gguf_row) const;
};

// In file order: embeddings, layers, final norm, head. REQUIRES: the config
// passed CheckDecoderConfig.
std::vector<WeightLayout> WeightsOf(const DecoderConfig& config);

// OK where `tensors` are exactly those of WeightsOf, of a floating-point type
// that GGUF and Tandem share (fp32, fp16, bf16); else InvalidArgument that
// names the first difference.
Status CheckWeights(const DecoderConfig& config, const TensorMap& tensors);

// Such a GGUF orders the rows of q and k for rotation of neighbouring pairs,
// Hugging Face for rotation of halves: row 2 p + i of a head there is row i *
// head_size / 2 + p here. Returns Hugging Face's row for the GGUF's.
int64_t HuggingFaceRow(int64_t gguf_row, int64_t head_size);

}  // namespace tandem

#endif  // TANDEM_MODEL_WEIGHT_LAYOUT_H_
