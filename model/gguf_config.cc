#include "model/gguf_config.h"

#include <algorithm>
#include <cstring>

#include "model/architecture.h"
#include "model/rotary_frequencies.h"

namespace tandem {
namespace {

// Sizes are checked against their bounds by CheckDecoderConfig; this bound is
// for reading alone.
constexpr int64_t kAnySize = int64_t{1} << 40;

// Keys, after the architecture's name, that change what a model computes, and
// that Tandem does not compute. 0 and false mean that they are not in use.
constexpr const char* kUnsupportedKeys[] = {"expert_count",
                                            "attn_logit_softcapping",
                                            "final_logit_softcapping",
                                            "attention.scale",
                                            "attention.clamp_kqv",
                                            "attention.max_alibi_bias",
                                            "logit_scale",
                                            "embedding_scale",
                                            "residual_scale",
                                            "use_parallel_residual",
                                            "rope.scaling.attn_factor"};

bool IsUnusedKey(const GgufValue& value) {
  return std::visit(
      [](const auto& v) {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>) {
          return v == 0;
        } else {
          return v.empty();
        }
      },
      value);
}

Status CheckNoUnsupportedKeys(const GgufFile& file, const std::string& prefix) {
  for (const char* name : kUnsupportedKeys) {
    const auto found = file.metadata.find(prefix + name);
    if (found == file.metadata.end() || IsUnusedKey(found->second)) continue;
    return InvalidArgument("key '{}' is in use, which Tandem does not support",
                           found->first);
  }
  return OkStatus();
}

// Reads keys that begin with the architecture's name.
class ConfigReader {
 public:
  ConfigReader(const GgufFile& file, const Architecture& architecture)
      : file_(file),
        architecture_(architecture),
        prefix_(fmt::format("{}.", architecture.name)) {}

  StatusOr<DecoderConfig> Read() const {
    TANDEM_RETURN_IF_ERROR(CheckNoUnsupportedKeys(file_, prefix_));
    DecoderConfig c;
    c.architecture = architecture_.name;
    TANDEM_RETURN_IF_ERROR(ReadSizes(c));
    TANDEM_RETURN_IF_ERROR(ReadRope(c));
    TANDEM_RETURN_IF_ERROR(ReadWindows(c));
    c.tied_embeddings = !file_.tensors.contains("output.weight");
    c.attention_bias = architecture_.bias == AttentionBias::kByConfig &&
                       file_.tensors.contains("blk.0.attn_q.bias");
    if (c.layers == architecture_.layers_scaled_by_width) {
      c.query_scalar = static_cast<double>(c.hidden_size) /
                       static_cast<double>(c.attention_heads);
    }
    TANDEM_RETURN_IF_ERROR(CheckDecoderConfig(c));
    return c;
  }

 private:
  bool Has(const char* name) const { return file_.Has(prefix_ + name); }
  StatusOr<int64_t> Size(const char* name) const {
    return file_.Integer(prefix_ + name, 1, kAnySize);
  }
  StatusOr<double> Number(const char* name, double otherwise) const {
    if (!Has(name)) return otherwise;
    return file_.Number(prefix_ + name);
  }

  Status ReadSizes(DecoderConfig& c) const {
    TANDEM_ASSIGN_OR_RETURN(c.hidden_size, Size("embedding_length"));
    TANDEM_ASSIGN_OR_RETURN(c.intermediate_size, Size("feed_forward_length"));
    TANDEM_ASSIGN_OR_RETURN(
        c.layers, file_.Integer(prefix_ + "block_count", 1, kMostLayers));
    TANDEM_ASSIGN_OR_RETURN(c.context_length, Size("context_length"));
    TANDEM_ASSIGN_OR_RETURN(c.attention_heads, Size("attention.head_count"));
    c.key_value_heads = c.attention_heads;
    if (Has("attention.head_count_kv")) {
      TANDEM_ASSIGN_OR_RETURN(c.key_value_heads,
                              Size("attention.head_count_kv"));
    }
    TANDEM_ASSIGN_OR_RETURN(c.head_size, HeadSize(c));
    TANDEM_ASSIGN_OR_RETURN(c.vocabulary_size, VocabularySize());
    TANDEM_ASSIGN_OR_RETURN(
        c.rms_norm_epsilon,
        file_.Number(prefix_ + "attention.layer_norm_rms_epsilon"));
    return OkStatus();
  }

  StatusOr<int64_t> HeadSize(const DecoderConfig& c) const {
    int64_t size = c.hidden_size / c.attention_heads;
    if (Has("attention.key_length")) {
      TANDEM_ASSIGN_OR_RETURN(size, Size("attention.key_length"));
    } else if (c.attention_heads * size != c.hidden_size) {
      return InvalidArgument(
          "embedding_length {} does not divide into head_count {}",
          c.hidden_size, c.attention_heads);
    }
    for (const char* name :
         {"attention.value_length", "rope.dimension_count"}) {
      if (!Has(name)) continue;
      TANDEM_RETURN_IF_ERROR(
          file_.Integer(prefix_ + name, size, size).status());
    }
    return size;
  }

  StatusOr<int64_t> VocabularySize() const {
    const auto table = file_.tensors.find("token_embd.weight");
    if (table == file_.tensors.end() || table->second.shape.size() != 2) {
      return InvalidArgument(
          "tensor 'token_embd.weight' is missing or no matrix");
    }
    return table->second.shape[0];
  }

  Status ReadRope(DecoderConfig& c) const {
    TANDEM_ASSIGN_OR_RETURN(c.rope_theta,
                            Number("rope.freq_base", c.rope_theta));
    TANDEM_ASSIGN_OR_RETURN(c.rope_scaling, ReadRopeScaling());
    if (!architecture_.has_rope_divisors ||
        !file_.tensors.contains(kRopeDivisorsName)) {
      return OkStatus();
    }
    TANDEM_ASSIGN_OR_RETURN(c.rope_scaling, ScalingOfDivisors(c));
    return OkStatus();
  }

  // As llama.cpp: linear where no type is named, by a factor that older files
  // keep under another name; 0 is none.
  StatusOr<RopeScaling> ReadRopeScaling() const {
    std::string type = "linear";
    if (Has("rope.scaling.type")) {
      TANDEM_ASSIGN_OR_RETURN(type, file_.Text(prefix_ + "rope.scaling.type"));
    }
    if (type != "linear" && type != "none") {
      return InvalidArgument(
          "key '{}rope.scaling.type' is '{}', only 'none' and 'linear' are "
          "supported",
          prefix_, type);
    }
    TANDEM_ASSIGN_OR_RETURN(double factor, Number("rope.scale_linear", 0));
    TANDEM_ASSIGN_OR_RETURN(factor, Number("rope.scaling.factor", factor));
    if (type == "none" || factor == 0) return RopeScaling();
    return RopeScaling{.type = RopeScaling::Type::kLinear, .factor = factor};
  }

  StatusOr<RopeScaling> ScalingOfDivisors(const DecoderConfig& c) const {
    const GgufTensor& tensor = file_.tensors.at(kRopeDivisorsName);
    if (tensor.format->type != GgmlType::kF32 || tensor.shape.size() != 1) {
      return InvalidArgument("tensor '{}' is no vector of F32",
                             kRopeDivisorsName);
    }
    std::vector<float> divisors(tensor.shape[0]);
    std::memcpy(divisors.data(), tensor.data.data(),
                divisors.size() * sizeof(float));
    StatusOr<RopeScaling> scaling =
        Llama3Scaling(divisors, c.head_size, c.rope_theta);
    if (scaling.ok()) return scaling;
    return Annotate(scaling.status(),
                    fmt::format("tensor '{}'", kRopeDivisorsName));
  }

  Status ReadWindows(DecoderConfig& c) const {
    const std::string key = prefix_ + "attention.sliding_window";
    if (!file_.Has(key)) return OkStatus();
    TANDEM_ASSIGN_OR_RETURN(const int64_t window,
                            file_.Integer(key, 0, kAnySize));
    if (window == 0) return OkStatus();
    if (architecture_.window_period == 0) {
      if (window >= c.context_length) return OkStatus();
      return InvalidArgument("key '{}' is {}, and a {} has no window", key,
                             window, c.architecture);
    }
    c.sliding_window = window;
    TANDEM_ASSIGN_OR_RETURN(c.local_rope_theta,
                            Number("rope.freq_base_swa", c.local_rope_theta));
    int64_t period = architecture_.window_period;
    if (Has("attention.sliding_window_pattern")) {
      TANDEM_ASSIGN_OR_RETURN(period, Size("attention.sliding_window_pattern"));
    }
    c.windowed_layers = PeriodicWindows(c.layers, period);
    return OkStatus();
  }

  const GgufFile& file_;
  const Architecture& architecture_;
  const std::string prefix_;
};

// The period whose PeriodicWindows these are.
StatusOr<int64_t> WindowPeriod(const std::vector<bool>& windowed) {
  const auto layers = static_cast<int64_t>(windowed.size());
  const auto whole = std::find(windowed.begin(), windowed.end(), false);
  const int64_t period = whole - windowed.begin() + 1;
  if (PeriodicWindows(layers, period) == windowed) return period;
  return InvalidArgument(
      "the windowed layers follow no period, as a GGUF wants it");
}

Status CheckQueryScalar(const DecoderConfig& c, const Architecture& a) {
  DecoderConfig there = c;  // what llama.cpp makes of it
  there.query_scalar = c.layers == a.layers_scaled_by_width
                           ? static_cast<double>(c.hidden_size) /
                                 static_cast<double>(c.attention_heads)
                           : 0;
  if (there.ScoreScale() == c.ScoreScale()) return OkStatus();
  return InvalidArgument(
      "query_pre_attn_scalar is {}, and a GGUF of a {} cannot say so",
      c.query_scalar, c.architecture);
}

std::string RawBytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(float)};
}

Status AddRope(const DecoderConfig& c, const Architecture& a,
               GgufWriter& writer) {
  const RopeScaling& scaling = c.rope_scaling;
  writer.AddFloat32(c.architecture + ".rope.freq_base",
                    static_cast<float>(c.rope_theta));
  if (scaling.type == RopeScaling::Type::kLinear) {
    writer.AddText(c.architecture + ".rope.scaling.type", "linear");
    writer.AddFloat32(c.architecture + ".rope.scaling.factor",
                      static_cast<float>(scaling.factor));
  }
  if (scaling.type != RopeScaling::Type::kLlama3) return OkStatus();
  if (!a.has_rope_divisors) {
    return InvalidArgument(
        "rope scaling is llama3, and a GGUF of a {} cannot say so",
        c.architecture);
  }
  const std::vector<float> divisors =
      RotaryDivisors(c.head_size, c.rope_theta, scaling);
  writer.AddTensor(kRopeDivisorsName, {c.head_size / 2},
                   FormatOf(GgmlType::kF32),
                   [divisors] { return RawBytes(divisors); });
  return OkStatus();
}

Status AddWindows(const DecoderConfig& c, GgufWriter& writer) {
  if (c.windowed_layers.empty()) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(const int64_t period,
                          WindowPeriod(c.windowed_layers));
  writer.AddUint32(c.architecture + ".attention.sliding_window",
                   static_cast<uint32_t>(c.sliding_window));
  writer.AddUint32(c.architecture + ".attention.sliding_window_pattern",
                   static_cast<uint32_t>(period));
  writer.AddFloat32(c.architecture + ".rope.freq_base_swa",
                    static_cast<float>(c.local_rope_theta));
  return OkStatus();
}

}  // namespace

StatusOr<DecoderConfig> ConfigOfGguf(const GgufFile& file) {
  TANDEM_ASSIGN_OR_RETURN(const std::string name,
                          file.Text("general.architecture"));
  TANDEM_ASSIGN_OR_RETURN(const Architecture* architecture,
                          FindArchitecture(name));
  return ConfigReader(file, *architecture).Read();
}

Status AddConfig(const DecoderConfig& c, GgufWriter& writer) {
  const Architecture& architecture = ArchitectureNamed(c.architecture);
  TANDEM_RETURN_IF_ERROR(CheckQueryScalar(c, architecture));
  const auto add = [&](const char* key, int64_t value) {
    writer.AddUint32(fmt::format("{}.{}", c.architecture, key),
                     static_cast<uint32_t>(value));
  };
  add("block_count", c.layers);
  add("context_length", c.context_length);
  add("embedding_length", c.hidden_size);
  add("feed_forward_length", c.intermediate_size);
  add("attention.head_count", c.attention_heads);
  add("attention.head_count_kv", c.key_value_heads);
  add("attention.key_length", c.head_size);
  add("attention.value_length", c.head_size);
  add("rope.dimension_count", c.head_size);
  add("vocab_size", c.vocabulary_size);
  writer.AddFloat32(c.architecture + ".attention.layer_norm_rms_epsilon",
                    static_cast<float>(c.rms_norm_epsilon));
  TANDEM_RETURN_IF_ERROR(AddRope(c, architecture, writer));
  return AddWindows(c, writer);
}

}  // namespace tandem
