// Text to ids, one implementation a tokenizer model.
#ifndef TANDEM_MODEL_TEXT_ENCODER_H_
#define TANDEM_MODEL_TEXT_ENCODER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/symbol_merger.h"
#include "model/token_index.h"
#include "model/tokenizer_data.h"
#include "model/word_cache.h"

namespace tandem {

// What an encoder needs while it works and keeps for the next text; for one
// thread at a time, and for one encoder for good.
struct EncoderScratch {
  WordCache words;
  SymbolMerger merger;
  std::string normalized;
  std::string buffer;
};

class TextEncoder {
 public:
  virtual ~TextEncoder() = default;

  // Appends the ids of `part`: text without added tokens. `is_first`: it is
  // where the whole text begins. REQUIRES: valid UTF-8, shorter than 2 GiB once
  // spaces are marked.
  virtual void Encode(std::string_view part, bool is_first,
                      EncoderScratch& scratch,
                      std::vector<int32_t>* ids) const = 0;
};

// `data` and `index` (of data.tokens) must outlive the encoder.
// InvalidArgument: an unknown pre-tokenizer (lists the known ones), merges of
// tokens that do not exist, scores or an unknown token that are missing.
StatusOr<std::unique_ptr<TextEncoder>> MakeByteLevelEncoder(
    const TokenizerData& data, const TokenIndex& index);
StatusOr<std::unique_ptr<TextEncoder>> MakeSentencePieceEncoder(
    const TokenizerData& data, const TokenIndex& index);
StatusOr<std::unique_ptr<TextEncoder>> MakeUnigramEncoder(
    const TokenizerData& data, const TokenIndex& index);

}  // namespace tandem

#endif  // TANDEM_MODEL_TEXT_ENCODER_H_
