// Which bytes of a rendered conversation an assistant is to write.
#ifndef TANDEM_MODEL_CHAT_TARGETS_H_
#define TANDEM_MODEL_CHAT_TARGETS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/chat_format.h"

namespace tandem {

// Bytes from begin up to end.
struct ByteSpan {
  size_t begin = 0, end = 0;
  bool operator==(const ByteSpan&) const = default;
};

// A control token in text that the template wrote.
struct ControlTokenAt {
  ByteSpan bytes;
  int32_t id = 0;
};

// In order. Text that came from a message is not searched.
std::vector<ControlTokenAt> FindControlTokens(const jinja::Text& text,
                                              const ChatFormat& format,
                                              const TokenizerData& data);

// In order. Where the template has {% generation %} blocks, what they wrote.
// Else a reply begins where `generation_prompt` (what the template asks for a
// reply with; may be empty) ends before its content, or with the content, and
// goes to the end of the first control token that the template writes after
// it, or of the content where there is none: for Qwen3, from the <think> before
// it to <|im_end|>. InvalidArgument where the template writes a reply in pieces
// between other messages, or out of order.
StatusOr<std::vector<ByteSpan>> ReplySpans(
    const std::vector<ChatMessage>& messages, const jinja::Text& text,
    std::string_view generation_prompt,
    const std::vector<ControlTokenAt>& control_tokens);

}  // namespace tandem

#endif  // TANDEM_MODEL_CHAT_TARGETS_H_
