// Byte-level BPE, as GPT-2 defined it and llama.cpp and Hugging Face run it.
#ifndef TANDEM_MODEL_TOKENIZER_H_
#define TANDEM_MODEL_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/tokenizer_data.h"

namespace tandem {

// Immutable and thread-safe; copies share one vocabulary.
class Tokenizer {
 public:
  // InvalidArgument: unknown pre-tokenizer (lists the known ones), a merge of
  // tokens that do not exist, duplicate tokens.
  static StatusOr<Tokenizer> Create(TokenizerData data);

  // Ids of UTF-8 text; invalid bytes become U+FFFD as Hugging Face and
  // llama.cpp read them. With `parse_special`, the text of control tokens
  // ("<|im_start|>") becomes their ids; without, it is ordinary text. No
  // beginning-of-text token is added.
  std::vector<int32_t> Encode(std::string_view text,
                              bool parse_special = false) const;
  // The bytes of the ids. Control tokens are left out unless asked for.
  std::string Decode(const std::vector<int32_t>& ids,
                     bool with_special = false) const;

  int64_t vocabulary_size() const;
  const TokenizerData& data() const;
  // Ends a reply: the end-of-text id and, for ChatML, <|im_end|>.
  bool IsEndOfReply(int32_t id) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKENIZER_H_
