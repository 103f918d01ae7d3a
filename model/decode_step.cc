#include "model/decode_step.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <stdexcept>

#include "model/architecture.h"
#include "model/aten.h"
#include "model/decode_kernels.h"
#include "model/rotary_embedding.h"
#include "model/row_product.h"

namespace tandem {
namespace {

const float* DataOf(const at::Tensor& vector) {
  return vector.defined() ? vector.const_data_ptr<float>() : nullptr;
}

RowProduct ProductOf(const AdaptableLinear& linear, const Adapter* adapter) {
  const LoraProjection p = WithFactors(linear, adapter);
  return RowProduct(p.weight, linear.bias, p.a, p.b, p.scale,
                    p.magnitude.defined() ? DoraGain(p) : at::Tensor());
}

}  // namespace

struct DecodeStep::Impl {
  // One layer as the step needs it. Norms are null where there is none.
  struct Layer {
    RowProduct q, k, v, o, gate, up, down;
    const float *attention_norm, *attention_output_norm;
    const float *feed_forward_norm, *feed_forward_output_norm;
    const float *query_norm, *key_norm;  // of each head
    bool windowed;
  };

  // [sequences, width], which all threads write parts of.
  struct SharedRows {
    int64_t width;
    std::vector<float> values;
    std::vector<float*> rows;

    void Resize(int64_t sequences) {
      values.resize(sequences * width);
      rows.clear();
      for (int64_t s = 0; s < sequences; ++s)
        rows.push_back(values.data() + s * width);
    }
  };

  // A thread's share of `count` rows, in whole groups of kDotRows.
  struct Share {
    int thread, threads;
    int64_t From(int64_t count) const { return Bound(count, thread); }
    int64_t To(int64_t count) const { return Bound(count, thread + 1); }

   private:
    int64_t Bound(int64_t count, int part) const {
      if (part == threads) return count;
      return count * part / threads / kDotRows * kDotRows;
    }
  };

  const DecoderConfig config;
  const Activation activation;
  const FrozenWeight embedding;
  const double embedding_scale;
  const float* final_norm;
  std::vector<Layer> layers;
  RowProduct head;
  bool rounds;  // some product needs rounded activations

  // What threads hand to each other between barriers.
  SharedRows q, k, v, attended, middle, projected;
  at::Tensor embedded, logits;
  std::vector<float*> logit_rows;
  RotaryAngles angles, local_angles;  // of every sequence's position
  std::vector<KeyValueCache*> caches;

  // What every thread computes for itself: redundant, but no barrier.
  struct Worker {
    Share share;
    std::vector<std::vector<float>> hidden;  // the residual stream
    std::vector<ActivationRow> x;
    std::vector<float> buffer, scores;
    SharedRows up;
  };

  Impl(const DecoderConfig& c, const DecoderWeights& weights, double scale,
       const Adapter* adapter)
      : config(c),
        activation(ArchitectureNamed(c.architecture).activation),
        embedding(weights.embedding),
        embedding_scale(scale),
        final_norm(DataOf(weights.final_norm)),
        head(weights.head, {}, {}, {}, 0),
        rounds(head.rounds()) {
    layers.reserve(weights.layers.size());
    for (int64_t i = 0; i < c.layers; ++i) {
      layers.push_back(LayerOf(weights.layers[i], adapter, c.IsWindowed(i)));
      const Layer& l = layers.back();
      for (const RowProduct* product :
           {&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down})
        rounds = rounds || product->rounds();
    }
    q.width = attended.width = c.attention_heads * c.head_size;
    k.width = v.width = c.key_value_heads * c.head_size;
    middle.width = c.intermediate_size;
    projected.width = c.hidden_size;
  }

  static Layer LayerOf(const LayerWeights& w, const Adapter* adapter,
                       bool windowed) {
    const auto product = [&](const AdaptableLinear& linear) {
      return ProductOf(linear, adapter);
    };
    return {product(w.q),
            product(w.k),
            product(w.v),
            product(w.o),
            product(w.gate),
            product(w.up),
            product(w.down),
            DataOf(w.attention_norm),
            DataOf(w.attention_output_norm),
            DataOf(w.feed_forward_norm),
            DataOf(w.feed_forward_output_norm),
            DataOf(w.query_norm),
            DataOf(w.key_norm),
            windowed};
  }

  int64_t sequences() const { return static_cast<int64_t>(caches.size()); }

  void Prepare(const std::vector<int32_t>& tokens) {
    const int64_t n = sequences();
    std::vector<int64_t> positions;
    for (KeyValueCache* cache : caches) {
      if (cache->length() >= config.context_length)
        throw std::invalid_argument(
            fmt::format("a token after {} passes the context length of {}",
                        cache->length(), config.context_length));
      cache->Reserve(cache->length() + 1);
      positions.push_back(cache->length());
    }
    const at::Tensor ids = at::empty({n}, at::kLong);
    std::copy(tokens.begin(), tokens.end(), ids.mutable_data_ptr<int64_t>());
    embedded = embedding.SelectRows(ids);
    if (embedding_scale != 1) embedded = embedded * embedding_scale;
    angles = RotaryAnglesAt(positions, config.head_size, config.rope_theta,
                            config.rope_scaling);
    if (!config.windowed_layers.empty())
      local_angles =
          RotaryAnglesAt(positions, config.head_size, config.local_rope_theta);
    for (SharedRows* rows : {&q, &k, &v, &attended, &middle, &projected})
      rows->Resize(n);
    logits = at::empty({n, config.vocabulary_size}, at::kFloat);
    logit_rows.clear();
    for (int64_t s = 0; s < n; ++s)
      logit_rows.push_back(logits.mutable_data_ptr<float>() +
                           s * config.vocabulary_size);
  }

  Worker WorkerOf(const Share& share) const {
    const int64_t n = sequences(), d = config.hidden_size;
    Worker worker{share, {}, std::vector<ActivationRow>(n), {}, {}, {}};
    const float* rows = embedded.const_data_ptr<float>();
    worker.hidden.reserve(n);
    for (int64_t s = 0; s < n; ++s)
      worker.hidden.emplace_back(rows + s * d, rows + (s + 1) * d);
    worker.buffer.resize(std::max(d, config.head_size));
    worker.up.width = config.intermediate_size;
    worker.up.Resize(n);
    return worker;
  }

  // hidden += projected, normed where the layer norms its outputs.
  void AddProjected(Worker& w, const float* norm) const {
    for (int64_t s = 0; s < sequences(); ++s) {
      const float* x = projected.rows[s];
      if (norm) {
        NormaliseVector(x, norm, config.rms_norm_epsilon, config.hidden_size,
                        w.buffer.data());
        x = w.buffer.data();
      }
      float* hidden = w.hidden[s].data();
      for (int64_t i = 0; i < config.hidden_size; ++i) hidden[i] += x[i];
    }
  }

  void AssignNormed(Worker& w, const float* norm) const {
    for (int64_t s = 0; s < sequences(); ++s) {
      NormaliseVector(w.hidden[s].data(), norm, config.rms_norm_epsilon,
                      config.hidden_size, w.buffer.data());
      w.x[s].Assign(w.buffer.data(), config.hidden_size, rounds);
    }
  }

  void Assign(Worker& w, const SharedRows& rows) const {
    for (int64_t s = 0; s < sequences(); ++s)
      w.x[s].Assign(rows.rows[s], rows.width, rounds);
  }

  // The worker's rows of the product.
  void Multiply(const Worker& w, const RowProduct& product,
                const std::vector<float*>& y) const {
    product.Run(w.x.data(), sequences(), w.share.From(product.out()),
                w.share.To(product.out()), y.data());
  }

  // One head, normed where `norm` is not null, then rotated.
  void Turn(const Layer& layer, int64_t sequence, const float* norm,
            float* x) const {
    if (norm)
      NormaliseVector(x, norm, config.rms_norm_epsilon, config.head_size, x);
    const int64_t half = config.head_size / 2;
    const RotaryAngles& a = layer.windowed ? local_angles : angles;
    RotateHead(a.cosine.const_data_ptr<float>() + sequence * half,
               a.sine.const_data_ptr<float>() + sequence * half, half, x);
  }

  // Keys and values of the worker's heads, into the caches.
  void Append(const Worker& w, const Layer& layer, int64_t index) const {
    const int64_t size = config.head_size, heads = config.key_value_heads;
    for (int64_t unit = w.share.thread; unit < sequences() * heads;
         unit += w.share.threads) {
      const int64_t s = unit / heads, head = unit % heads;
      float* key = k.rows[s] + head * size;
      Turn(layer, s, layer.key_norm, key);
      const int64_t offset = caches[s]->length() * size;
      std::copy(key, key + size, caches[s]->Keys(index, head) + offset);
      const float* value = v.rows[s] + head * size;
      std::copy(value, value + size, caches[s]->Values(index, head) + offset);
    }
  }

  void Attend(Worker& w, const Layer& layer, int64_t index) const {
    const int64_t size = config.head_size, heads = config.attention_heads;
    const int64_t group = heads / config.key_value_heads;
    const auto scale = static_cast<float>(config.ScoreScale());
    for (int64_t unit = w.share.thread; unit < sequences() * heads;
         unit += w.share.threads) {
      const int64_t s = unit / heads, head = unit % heads;
      float* query = q.rows[s] + head * size;
      Turn(layer, s, layer.query_norm, query);
      const int64_t all = caches[s]->length() + 1;
      const int64_t seen =
          layer.windowed ? std::min(config.sliding_window, all) : all;
      const int64_t skipped = (all - seen) * size;
      w.scores.resize(seen);
      AttendHead(query, caches[s]->Keys(index, head / group) + skipped,
                 caches[s]->Values(index, head / group) + skipped, seen, size,
                 scale, w.scores.data(), attended.rows[s] + head * size);
    }
  }

  // The worker's rows of activation(gate) * up.
  void FeedForward(Worker& w, const Layer& layer) const {
    Multiply(w, layer.gate, middle.rows);
    Multiply(w, layer.up, w.up.rows);
    const auto gate = activation == Activation::kSilu ? GateSilu : GateGelu;
    const int64_t from = w.share.From(middle.width);
    const int64_t to = w.share.To(middle.width);
    for (int64_t s = 0; s < sequences(); ++s)
      gate(middle.rows[s] + from, w.up.rows[s] + from, to - from);
  }

  // All threads run this side by side, and meet at the barriers.
  void Work(const Share& share) const {
    Worker w = WorkerOf(share);
    for (int64_t i = 0; i < config.layers; ++i) {
      const Layer& layer = layers[i];
      AssignNormed(w, layer.attention_norm);
      Multiply(w, layer.q, q.rows);
      Multiply(w, layer.k, k.rows);
      Multiply(w, layer.v, v.rows);
#pragma omp barrier
      Append(w, layer, i);
#pragma omp barrier
      Attend(w, layer, i);
#pragma omp barrier
      Assign(w, attended);
      Multiply(w, layer.o, projected.rows);
#pragma omp barrier
      AddProjected(w, layer.attention_output_norm);
      AssignNormed(w, layer.feed_forward_norm);
      FeedForward(w, layer);
#pragma omp barrier
      Assign(w, middle);
      Multiply(w, layer.down, projected.rows);
#pragma omp barrier
      AddProjected(w, layer.feed_forward_output_norm);
    }
    AssignNormed(w, final_norm);
    Multiply(w, head, logit_rows);
  }
};

DecodeStep::DecodeStep(const DecoderConfig& config,
                       const DecoderWeights& weights, double embedding_scale,
                       const Adapter* adapter)
    : impl_(std::make_unique<Impl>(config, weights, embedding_scale, adapter)) {
}
DecodeStep::~DecodeStep() = default;
DecodeStep::DecodeStep(DecodeStep&&) noexcept = default;

at::Tensor DecodeStep::Run(const std::vector<int32_t>& tokens,
                           const std::vector<KeyValueCache*>& caches) {
  Impl& impl = *impl_;
  impl.caches = caches;
  impl.Prepare(tokens);
#pragma omp parallel num_threads(at::get_num_threads())
  impl.Work(Impl::Share{omp_get_thread_num(), omp_get_num_threads()});
  for (KeyValueCache* cache : caches) cache->Advance(1);
  return impl.logits;
}

}  // namespace tandem
