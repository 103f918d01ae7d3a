// A model's own chat template, read once, and what becomes of a conversation
// under it: text whose every byte knows whether the template or a message wrote
// it.
#ifndef TANDEM_MODEL_CHAT_FORMAT_H_
#define TANDEM_MODEL_CHAT_FORMAT_H_

#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "model/added_tokens.h"
#include "model/jinja_template.h"
#include "model/tokenizer_data.h"

namespace tandem {

struct ChatMessage {
  std::string role;  // system, user or assistant
  std::string content;
};

// 26 July 2024, the date that Llama 3's own template falls back to. Templates
// that print the date print this one in training, so that a file gives the same
// tokens on every client and every day.
constexpr TimePoint kTrainingDate{Duration{1'721'995'200'000'000}};

// Immutable and thread-safe.
class ChatFormat {
 public:
  // ChatML with SmolLM2's default system message where the model has no
  // template of its own.
  explicit ChatFormat(const TokenizerData& data);

  // As transformers' apply_chat_template(messages, tokenize=False) without
  // tools. A byte's source is 0 from the template, i + 1 from the content of
  // messages[i], -1 from a role that is none of the three. Invalid UTF-8
  // becomes U+FFFD. InvalidArgument, with the template's line, where the
  // template refuses the conversation (Gemma's wants user and assistant in
  // turn), is not within our subset of Jinja, or asks for too much work.
  StatusOr<jinja::Text> Render(const std::vector<ChatMessage>& messages,
                               bool add_generation_prompt, TimePoint now) const;

  // By their text, as the template writes them.
  const AddedTokens& control_tokens() const { return control_tokens_; }

 private:
  StatusOr<jinja::Template> template_;
  std::vector<std::pair<std::string, std::string>> special_tokens_;
  AddedTokens control_tokens_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_CHAT_FORMAT_H_
