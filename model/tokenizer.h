// Text to token ids and back: byte-level BPE, SentencePiece's BPE, unigram.
#ifndef TANDEM_MODEL_TOKENIZER_H_
#define TANDEM_MODEL_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/chat_format.h"
#include "model/tokenizer_data.h"

namespace tandem {

// Immutable and thread-safe; copies share one vocabulary.
class Tokenizer {
 public:
  // InvalidArgument: unknown pre-tokenizer (lists the known ones), a merge of
  // tokens that do not exist, duplicate or empty tokens; ids, types or scores
  // that do not fit the number of tokens, or are missing.
  static StatusOr<Tokenizer> Create(TokenizerData data);

  // Ids of UTF-8 text; invalid bytes become U+FFFD as Hugging Face and
  // llama.cpp read them. With `parse_special`, the text of control tokens
  // ("<|im_start|>") becomes their ids; without, it is ordinary text. The text
  // of user-defined tokens always becomes their ids. No beginning-of-text token
  // is added. As in llama.cpp, a byte that the vocabulary has no token for
  // (SmolLM2's lacks a few control characters) is left out.
  // REQUIRES: text is shorter than 512 MiB (else std::length_error).
  std::vector<int32_t> Encode(std::string_view text,
                              bool parse_special = false) const;
  // The bytes of the ids, which need not be whole characters. Control tokens
  // are left out unless asked for, ids that are not in the vocabulary always.
  // A space that Encode puts before every text is taken off again.
  std::string Decode(const std::vector<int32_t>& ids,
                     bool with_special = false) const;
  // The bytes of one id where it stands within a text; empty for ids that
  // Decode leaves out.
  std::string_view TokenText(int32_t id, bool with_special = false) const;

  int64_t vocabulary_size() const;
  const TokenizerData& data() const;
  const ChatFormat& chat_format() const;
  // The id of a control token by its text, if there is one.
  std::optional<int32_t> ControlToken(std::string_view text) const;
  // Ends a document: <|endoftext|>, or the end-of-sequence id where the
  // vocabulary has none.
  std::optional<int32_t> end_of_text_id() const;
  // Ends a reply: the end-of-text id and what closes a turn in ChatML
  // (<|im_end|>), Llama 3 (<|eot_id|>) or Gemma (<end_of_turn>).
  bool IsEndOfReply(int32_t id) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKENIZER_H_
