// Logits, gradients and losses of Tandem for test_parity.py to hold against
// transformers and PEFT.
//
//   parity REQUEST.json OUT.safetensors
//
// REQUEST: {"model": path, "adapter": PEFT folder (optional), "dtype": "fp32" |
// "bf16" | "quantised", "documents": [[id, ...], ...], "first_targets": [index,
// ...] (from which every token of the document is a target), "logits",
// "cached", "stepped", "gradients": bool, "steps": number, "learning_rate":
// number, "lora_plus_ratio": number; "merged": bool; "save_adapter": folder to
// write the adapter to; "last_rows": logits of so many tokens of each document
// alone. "texts": [...] instead of "documents" is tokenised, cut at
// "max_tokens".
//
// OUT: tokens.I, logits.I, cached.I (decoded through the KV cache: the first
// half at once, then one by one), stepped.I (one by one, by DecodeStep) for
// document I; grad.NAME; loss; losses; merged.NAME for every tensor that the
// adapter changes.
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/aten.h"
#include "model/generator.h"
#include "model/lora_trainer.h"
#include "model/safetensors.h"
#include "model/tokenizer.h"

namespace tandem {
namespace {

using nlohmann::json;

StatusOr<std::vector<TokenizedExample>> Documents(const json& request,
                                                  const TokenizerData& data) {
  std::vector<TokenizedExample> examples;
  TANDEM_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Create(data));
  for (const json& text : request.value("texts", json::array())) {
    examples.emplace_back().tokens = tokenizer.Encode(text.get<std::string>());
    if (examples.back().tokens.size() > request.value("max_tokens", 512u))
      examples.back().tokens.resize(request.value("max_tokens", 512u));
  }
  for (const json& ids : request.value("documents", json::array()))
    examples.emplace_back().tokens = ids.get<std::vector<int32_t>>();
  for (size_t i = 0; i < examples.size(); ++i) {
    TokenizedExample& example = examples[i];
    const size_t first = request.contains("first_targets")
                             ? request["first_targets"].at(i).get<size_t>()
                             : 1;
    for (size_t t = 0; t < example.tokens.size(); ++t)
      example.is_target.push_back(t >= first);
  }
  return examples;
}

at::Tensor CachedHidden(const Decoder& model, const Adapter* adapter,
                        const at::Tensor& tokens) {
  KeyValueCache cache(model.config());
  const int64_t half = tokens.size(0) / 2;
  std::vector<at::Tensor> hidden;
  if (half > 0)
    hidden.push_back(
        model.ForwardCached(tokens.narrow(0, 0, half), cache, adapter));
  for (int64_t t = half; t < tokens.size(0); ++t)
    hidden.push_back(
        model.ForwardCached(tokens.narrow(0, t, 1), cache, adapter));
  return at::cat(hidden);
}

// All rows, or the last request["last_rows"].
at::Tensor LastLogits(const json& request, const Decoder& model,
                      const at::Tensor& hidden) {
  const int64_t rows = std::min<int64_t>(
      hidden.size(0), request.value("last_rows", hidden.size(0)));
  return model.Logits(hidden.narrow(0, hidden.size(0) - rows, rows));
}

// Token by token, as Generate takes them.
at::Tensor SteppedLogits(const Decoder& model, const Adapter* adapter,
                         const at::Tensor& tokens) {
  KeyValueCache cache(model.config());
  DecodeStep step = model.NewDecodeStep(adapter);
  std::vector<at::Tensor> logits;
  logits.reserve(tokens.size(0));
  for (int64_t t = 0; t < tokens.size(0); ++t)
    logits.push_back(step.Run({tokens[t].item<int32_t>()}, {&cache}));
  return at::cat(logits);
}

void AddLogits(const json& request, const Decoder& model,
               const Adapter* adapter,
               const std::vector<TokenizedExample>& examples, TensorMap& out) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < examples.size(); ++i) {
    const PackedBatch batch = PackExamples({&examples[i]});
    const std::string index = std::to_string(i);
    out["tokens." + index] = batch.tokens;
    if (request.value("logits", false))
      out["logits." + index] = LastLogits(
          request, model,
          model.Forward(batch.tokens, batch.document_offsets, adapter));
    if (request.value("cached", false))
      out["cached." + index] = LastLogits(
          request, model, CachedHidden(model, adapter, batch.tokens));
    if (request.value("stepped", false))
      out["stepped." + index] = SteppedLogits(model, adapter, batch.tokens);
  }
}

// Gradients of the first step, and the losses of "steps" steps.
void AddTraining(const json& request, const Decoder& model,
                 const Adapter& adapter,
                 const std::vector<TokenizedExample>& examples,
                 TensorMap& out) {
  std::vector<const TokenizedExample*> all;
  for (const TokenizedExample& example : examples) all.push_back(&example);
  const PackedBatch batch = PackExamples(all);
  const std::vector<LossTerm> terms = {
      {&batch, CrossEntropyRows(batch.targets), 1}};
  if (request.value("gradients", false)) {
    const AdapterGradient gradient =
        ComputeAdapterGradient(model, adapter, terms);
    out["loss"] = at::full({1}, gradient.loss, at::kDouble);
    for (const auto& [name, tensor] : gradient.tensors)
      out["grad." + name] = tensor.contiguous();
  }
  TrainerOptions options;
  options.optimizer.learning_rate = request.value("learning_rate", 1e-3);
  options.optimizer.weight_decay = request.value("weight_decay", 0.0);
  options.lora_plus_ratio = request.value("lora_plus_ratio", 1.0);
  options.schedule.final_ratio = 1;
  LoraTrainer trainer(model, adapter, options);
  std::vector<double> losses;
  for (int i = 0; i < request.value("steps", 0); ++i)
    losses.push_back(trainer.Step(terms).loss);
  if (!losses.empty()) out["losses"] = at::tensor(losses, at::kDouble);
}

void AddMerged(const Checkpoint& base, const Adapter& adapter, TensorMap& out) {
  for (const auto& [name, tensor] : MergeAdapter(base, adapter).tensors)
    if (!tensor.is_same(base.tensors.at(name))) out["merged." + name] = tensor;
}

Status Run(const char* request_path, const char* out_path) {
  const json request = json::parse(std::ifstream(request_path));
  TANDEM_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                          LoadCheckpoint(request["model"].get<std::string>(),
                                         GgufMatrices::kKeepBlocks));
  TANDEM_ASSIGN_OR_RETURN(const WeightStorage storage,
                          ParseComputeDtype(request.value("dtype", "fp32")));
  TANDEM_ASSIGN_OR_RETURN(const Decoder model,
                          Decoder::Create(checkpoint, storage));
  TANDEM_ASSIGN_OR_RETURN(const auto examples,
                          Documents(request, checkpoint.tokenizer));
  TensorMap out;
  if (request.contains("adapter")) {
    TANDEM_ASSIGN_OR_RETURN(
        const Adapter adapter,
        LoadAdapter(request["adapter"].get<std::string>(), checkpoint.config));
    AddLogits(request, model, &adapter, examples, out);
    AddTraining(request, model, adapter, examples, out);
    if (request.value("merged", false)) AddMerged(checkpoint, adapter, out);
    if (request.contains("save_adapter"))
      TANDEM_RETURN_IF_ERROR(
          SaveAdapter(adapter, "base", request["save_adapter"]));
  } else {
    AddLogits(request, model, nullptr, examples, out);
  }
  return WriteSafetensors(out_path, out);
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: parity REQUEST.json OUT.safetensors\n");
    return 2;
  }
  const tandem::Status status = tandem::CatchExceptions(
      "parity", [&] { return tandem::Run(argv[1], argv[2]); });
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
