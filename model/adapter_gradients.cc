#include "model/adapter_gradients.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <stdexcept>

#include "common/random.h"
#include "model/aten.h"

namespace tandem {
namespace {

// The adapter with tensors of its own graph; `leaves` are those that train.
Adapter WithLeaves(const Adapter& adapter, bool freeze_lora_a,
                   std::vector<std::string>& names,
                   std::vector<at::Tensor>& leaves) {
  Adapter result{adapter.options, {}, {}};
  for (const auto& [name, tensor] : adapter.tensors) {
    at::Tensor leaf = tensor.detach();
    if (!(freeze_lora_a && IsLoraA(name))) {
      leaf.requires_grad_();
      names.push_back(name);
      leaves.push_back(leaf);
    }
    result.tensors.emplace(name, leaf);
  }
  return result;
}

at::Tensor TermLoss(const Decoder& model, const Adapter& adapter,
                    const LossTerm& term) {
  const PackedBatch& batch = *term.batch;
  const int64_t rows = batch.target_rows.size(0);
  if (rows == 0) throw std::invalid_argument("a loss term has no target rows");
  const at::Tensor hidden = model.ForwardRows(
      batch.tokens, batch.document_offsets, batch.target_rows, &adapter);
  return ChunkedHeadLoss(hidden, model.head_weight(), term.loss) *
         (term.weight / static_cast<double>(rows));
}

}  // namespace

bool IsLoraA(const std::string& name) {
  return name.ends_with(".lora_A.weight");
}

AdapterGradient ComputeAdapterGradient(const Decoder& model,
                                       const Adapter& adapter,
                                       const std::vector<LossTerm>& terms,
                                       bool freeze_lora_a) {
  const at::AutoGradMode enable(true);
  std::vector<std::string> names;
  std::vector<at::Tensor> leaves;
  Adapter tracked = WithLeaves(adapter, freeze_lora_a, names, leaves);
  AdapterGradient result;
  for (size_t t = 0; t < terms.size(); ++t) {
    const LossTerm& term = terms[t];
    if (adapter.dropout_seed)
      tracked.dropout_seed = DeriveSeed(*adapter.dropout_seed, "term", t);
    const at::Tensor loss = TermLoss(model, tracked, term);
    result.loss += loss.item<double>();
    result.tokens += term.batch->tokens.size(0);
    result.target_tokens += term.batch->target_rows.size(0);
    const auto gradients = torch::autograd::grad({loss}, leaves);
    for (size_t i = 0; i < names.size(); ++i) {
      at::Tensor& sum = result.tensors[names[i]];
      sum = sum.defined() ? sum.add_(gradients[i]) : gradients[i];
    }
  }
  return result;
}

}  // namespace tandem
