// Cuts text into the pieces that byte-pair encoding never merges across.
#ifndef TANDEM_MODEL_PRE_TOKENIZER_H_
#define TANDEM_MODEL_PRE_TOKENIZER_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tandem {

// A way to cut, and what the tokenizers that cut so do besides.
struct PreTokenizerKind {
  std::string_view name;  // that GGUF files are written with
  // The regular expression of tokenizer.json's Split; empty where ByteLevel's
  // own, GPT-2's, is used.
  std::string_view split_pattern;
  bool digits_alone;  // each \p{N} is a piece, before the pattern is applied
  int max_digits;     // \p{N}{1,max_digits} of the pattern; 0: no limit
  // Not said in a GGUF: llama.cpp knows the first by the name, and leaves the
  // second out, although the models were trained so.
  bool ignore_merges;
  bool normalize_nfc;
};

// gpt-2, olmo (GPT-NeoX's), smollm, llama-bpe, qwen2.
std::span<const PreTokenizerKind> PreTokenizerKinds();

// By GGUF's name or an alias of it. InvalidArgument for any other; the message
// lists the known ones.
StatusOr<const PreTokenizerKind*> FindPreTokenizerKind(std::string_view name);

class PreTokenizer {
 public:
  // The errors of FindPreTokenizerKind.
  static StatusOr<PreTokenizer> Create(std::string_view name);

  // Where the piece ends that begins at text[at]. The pieces from 0 on are
  // those of Hugging Face and llama.cpp.
  // REQUIRES: valid UTF-8, at < text.size() is 0 or where a piece ends.
  size_t PieceEnd(std::string_view text, size_t at) const;

 private:
  const PreTokenizerKind* kind_ = nullptr;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_PRE_TOKENIZER_H_
