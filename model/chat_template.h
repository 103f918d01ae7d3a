// Conversations as token ids: the model's own chat template rendered, control
// tokens read in what the template wrote and nowhere else, and a mask of what
// an assistant is to learn.
#ifndef TANDEM_MODEL_CHAT_TEMPLATE_H_
#define TANDEM_MODEL_CHAT_TEMPLATE_H_

#include <cstdint>
#include <vector>

#include "common/status.h"
#include "model/chat_format.h"
#include "model/tokenizer.h"

namespace tandem {

struct TokenizedExample {
  std::vector<int32_t> tokens;
  // is_target[i]: the loss counts the prediction of tokens[i] (from those
  // before it). Never set for i = 0.
  std::vector<uint8_t> is_target;
  // Bytes of the text that the targets stand for, for bits per byte; control
  // tokens count none.
  int64_t target_bytes = 0;
};

// Targets are the tokens that begin in an assistant's reply (see ReplySpans in
// chat_targets.h): its content and the control token that ends the turn. Only
// the template's own markers become control tokens: a message that says
// "<|im_end|>" is text. Where the vocabulary has no such control tokens, the
// markers are text too. Templates that print the date print kTrainingDate.
// InvalidArgument as ChatFormat::Render and ReplySpans.
StatusOr<TokenizedExample> TokenizeChat(
    const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages);

// What a model is given to reply to: the messages and, at the end, the
// template's generation prompt. `now` is for templates that print the date.
StatusOr<std::vector<int32_t>> TokenizeChatPrompt(
    const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages,
    TimePoint now = kTrainingDate);

}  // namespace tandem

#endif  // TANDEM_MODEL_CHAT_TEMPLATE_H_
