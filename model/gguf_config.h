// A DecoderConfig in a GGUF's metadata, read and written.
#ifndef TANDEM_MODEL_GGUF_CONFIG_H_
#define TANDEM_MODEL_GGUF_CONFIG_H_

#include "common/status.h"
#include "model/decoder_config.h"
#include "model/gguf_reader.h"
#include "model/gguf_writer.h"

namespace tandem {

// Divisors of rotary frequencies, fp32 [head_size / 2]: no weight, but part of
// the configuration.
inline constexpr char kRopeDivisorsName[] = "rope_freqs.weight";

// InvalidArgument, naming the key or tensor: missing, out of range, an unknown
// architecture, or a feature that Tandem would compute wrongly (soft caps,
// experts, rope scaling other than linear and llama3).
StatusOr<DecoderConfig> ConfigOfGguf(const GgufFile& file);

// The way back, with the divisors' tensor where there is one. InvalidArgument
// for what llama.cpp would compute otherwise, because no key says it: a
// query_scalar or windows of its own. REQUIRES: the config passed
// CheckDecoderConfig.
Status AddConfig(const DecoderConfig& config, GgufWriter& writer);

}  // namespace tandem

#endif  // TANDEM_MODEL_GGUF_CONFIG_H_
