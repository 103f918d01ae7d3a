// Conversations as token ids: ChatML, exactly as SmolLM2's template renders it.
//
//   <|im_start|>ROLE\nCONTENT<|im_end|>\n  ... for every message, led by a
//   default system message where the first is none.
#ifndef TANDEM_MODEL_CHAT_TEMPLATE_H_
#define TANDEM_MODEL_CHAT_TEMPLATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "model/tokenizer.h"

namespace tandem {

struct ChatMessage {
  std::string role;  // system, user or assistant
  std::string content;
};

struct TokenizedExample {
  std::vector<int32_t> tokens;
  // is_target[i]: the loss counts the prediction of tokens[i] (from those
  // before it). Never set for i = 0.
  std::vector<uint8_t> is_target;
  // Bytes of the text that the targets stand for, for bits per byte; control
  // tokens count none.
  int64_t target_bytes = 0;
};

// Targets are the tokens that begin in an assistant's content, and the
// <|im_end|> after it. Only the template's own markers become control tokens: a
// message that says "<|im_end|>" is text. Where the vocabulary has no such
// control tokens, the markers are text too.
TokenizedExample TokenizeChat(const Tokenizer& tokenizer,
                              const std::vector<ChatMessage>& messages);

// What a model is given to reply to: the messages and, at the end,
// "<|im_start|>assistant\n".
std::vector<int32_t> TokenizeChatPrompt(
    const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages);

}  // namespace tandem

#endif  // TANDEM_MODEL_CHAT_TEMPLATE_H_
