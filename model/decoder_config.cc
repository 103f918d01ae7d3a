#include "model/decoder_config.h"

#include <cmath>

#include "model/architecture.h"

namespace tandem {
namespace {

Status CheckRange(std::string_view field, int64_t value, int64_t maximum) {
  if (value >= 1 && value <= maximum) return OkStatus();
  return InvalidArgument("{} is {}, expected 1 to {}", field, value, maximum);
}

Status CheckPositive(std::string_view field, double value) {
  if (std::isfinite(value) && value > 0) return OkStatus();
  return InvalidArgument("{} is {}, expected a positive number", field, value);
}

constexpr int64_t kLongestContext = int64_t{1} << 31;

Status CheckModelSizes(const DecoderConfig& c) {
  struct Size {
    std::string_view field;
    int64_t value, maximum;
  };
  for (const Size& size :
       {Size{"hidden_size", c.hidden_size, 1 << 20},
        Size{"intermediate_size", c.intermediate_size, 1 << 20},
        Size{"layers", c.layers, kMostLayers},
        Size{"attention_heads", c.attention_heads, 1 << 16},
        Size{"key_value_heads", c.key_value_heads, c.attention_heads},
        Size{"head_size", c.head_size, 1 << 16},
        Size{"vocabulary_size", c.vocabulary_size, 1 << 24},
        Size{"context_length", c.context_length, kLongestContext}}) {
    TANDEM_RETURN_IF_ERROR(CheckRange(size.field, size.value, size.maximum));
  }
  return OkStatus();
}

Status CheckHeads(const DecoderConfig& c) {
  if (c.attention_heads % c.key_value_heads != 0) {
    return InvalidArgument(
        "attention_heads is {}, expected a multiple of key_value_heads, {}",
        c.attention_heads, c.key_value_heads);
  }
  if (c.head_size % 2 != 0) {
    return InvalidArgument("head_size is {}, expected an even number",
                           c.head_size);
  }
  return OkStatus();
}

Status CheckRopeScaling(const RopeScaling& s) {
  if (s.type == RopeScaling::Type::kNone) return OkStatus();
  TANDEM_RETURN_IF_ERROR(CheckPositive("rope scaling's factor", s.factor));
  if (s.type == RopeScaling::Type::kLinear) return OkStatus();
  TANDEM_RETURN_IF_ERROR(CheckPositive("rope scaling's low_frequency_factor",
                                       s.low_frequency_factor));
  if (!(s.high_frequency_factor > s.low_frequency_factor) ||
      !std::isfinite(s.high_frequency_factor)) {
    return InvalidArgument(
        "rope scaling's high_frequency_factor is {}, expected a number above "
        "low_frequency_factor, {}",
        s.high_frequency_factor, s.low_frequency_factor);
  }
  return CheckRange("rope scaling's original_context_length",
                    s.original_context_length, kLongestContext);
}

Status CheckWindows(const DecoderConfig& c, const Architecture& architecture) {
  if (c.windowed_layers.empty()) return OkStatus();
  if (architecture.window_period == 0) {
    return InvalidArgument("a {} has no layers with a sliding window",
                           c.architecture);
  }
  if (static_cast<int64_t>(c.windowed_layers.size()) != c.layers) {
    return InvalidArgument("windowed_layers names {} layers, expected {}",
                           c.windowed_layers.size(), c.layers);
  }
  return CheckRange("sliding_window", c.sliding_window, kLongestContext);
}

}  // namespace

double DecoderConfig::ScoreScale() const {
  return 1 / std::sqrt(query_scalar > 0 ? query_scalar
                                        : static_cast<double>(head_size));
}

Status CheckDecoderConfig(const DecoderConfig& c) {
  TANDEM_ASSIGN_OR_RETURN(const Architecture* architecture,
                          FindArchitecture(c.architecture));
  TANDEM_RETURN_IF_ERROR(CheckModelSizes(c));
  TANDEM_RETURN_IF_ERROR(CheckPositive("rms_norm_epsilon", c.rms_norm_epsilon));
  TANDEM_RETURN_IF_ERROR(CheckPositive("rope_theta", c.rope_theta));
  TANDEM_RETURN_IF_ERROR(CheckPositive("local_rope_theta", c.local_rope_theta));
  if (c.query_scalar != 0) {
    TANDEM_RETURN_IF_ERROR(CheckPositive("query_scalar", c.query_scalar));
  }
  TANDEM_RETURN_IF_ERROR(CheckHeads(c));
  TANDEM_RETURN_IF_ERROR(CheckRopeScaling(c.rope_scaling));
  return CheckWindows(c, *architecture);
}

}  // namespace tandem
