// A model as the subcommands take it: --model, --adapter, --dtype, --threads.
#ifndef TANDEM_CLI_LOADED_MODEL_H_
#define TANDEM_CLI_LOADED_MODEL_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "common/status.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/decoder.h"
#include "model/tokenizer.h"

namespace tandem::cli {

struct ModelFlags {
  std::string model;    // GGUF file or Hugging Face folder
  std::string adapter;  // PEFT folder or LoRA GGUF; empty: none
  std::string dtype = "auto";
  int threads = 0;
};

void AddModelFlags(CLI::App& command, ModelFlags& flags);

struct LoadedModel {
  Decoder decoder;
  Tokenizer tokenizer;
  std::optional<Adapter> adapter;
  std::string digest;  // model/checkpoint.h: Digest; empty where not asked for
  const Adapter* adapter_or_null() const {
    return adapter ? &*adapter : nullptr;
  }
};

// Sets the number of threads, then loads what the flags name.
// Its digest takes a second for some hundred million weights.
StatusOr<LoadedModel> Load(const ModelFlags& flags, bool with_digest = false);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_LOADED_MODEL_H_
