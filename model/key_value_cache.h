// Keys and values of one sequence, so that its next token need not look at the
// others again.
#ifndef TANDEM_MODEL_KEY_VALUE_CACHE_H_
#define TANDEM_MODEL_KEY_VALUE_CACHE_H_

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "model/decoder_config.h"

namespace tandem {

// fp32, [key_value_heads, capacity, head_size] for every layer; keys rotated.
class KeyValueCache {
 public:
  explicit KeyValueCache(const DecoderConfig& config);

  int64_t length() const { return length_; }  // tokens
  int64_t capacity() const { return keys_[0].size(1); }

  // Room for `tokens` in all, by doubling; those that are there stay.
  void Reserve(int64_t tokens);
  // Writes key and value [n, key_value_heads * head_size] of the tokens after
  // length() and returns all [key_value_heads, length() + n, head_size] of this
  // layer. They count once Advance() was called. REQUIRES: Reserve()d.
  std::pair<at::Tensor, at::Tensor> Append(int64_t layer, const at::Tensor& key,
                                           const at::Tensor& value);
  void Advance(int64_t tokens) { length_ += tokens; }

  // Of one head: [capacity, head_size].
  float* Keys(int64_t layer, int64_t head);
  float* Values(int64_t layer, int64_t head);

 private:
  std::vector<at::Tensor> keys_, values_;  // by layer
  int64_t length_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_KEY_VALUE_CACHE_H_
