#include "model/key_value_cache.h"

#include <algorithm>

#include "model/aten.h"

namespace tandem {
namespace {

at::Tensor Enlarged(const at::Tensor& buffer, int64_t used, int64_t capacity) {
  at::Tensor larger =
      at::empty({buffer.size(0), capacity, buffer.size(2)}, buffer.options());
  larger.narrow(1, 0, used).copy_(buffer.narrow(1, 0, used));
  return larger;
}

at::Tensor AppendTo(at::Tensor& buffer, int64_t used, const at::Tensor& x) {
  const int64_t n = x.size(0);
  buffer.narrow(1, used, n)
      .copy_(x.view({n, buffer.size(0), buffer.size(2)}).transpose(0, 1));
  return buffer.narrow(1, 0, used + n);
}

float* HeadOf(at::Tensor& buffer, int64_t head) {
  return buffer.mutable_data_ptr<float>() + head * buffer.stride(0);
}

}  // namespace

KeyValueCache::KeyValueCache(const DecoderConfig& config) {
  const at::Tensor empty =
      at::empty({config.key_value_heads, 0, config.head_size}, at::kFloat);
  keys_.assign(config.layers, empty);
  values_.assign(config.layers, empty);
}

void KeyValueCache::Reserve(int64_t tokens) {
  if (capacity() >= tokens) return;
  const int64_t enough = std::max(tokens, 2 * capacity());
  for (at::Tensor& keys : keys_) keys = Enlarged(keys, length_, enough);
  for (at::Tensor& values : values_) values = Enlarged(values, length_, enough);
}

std::pair<at::Tensor, at::Tensor> KeyValueCache::Append(
    int64_t layer, const at::Tensor& key, const at::Tensor& value) {
  return {AppendTo(keys_[layer], length_, key),
          AppendTo(values_[layer], length_, value)};
}

float* KeyValueCache::Keys(int64_t layer, int64_t head) {
  return HeadOf(keys_[layer], head);
}

float* KeyValueCache::Values(int64_t layer, int64_t head) {
  return HeadOf(values_[layer], head);
}

}  // namespace tandem
