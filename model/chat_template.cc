#include "model/chat_template.h"

#include <string_view>

#include "model/chat_targets.h"

namespace tandem {
namespace {

// Puts ids at the end of an example; targets are those that begin in one of the
// reply's spans.
class ExampleWriter {
 public:
  ExampleWriter(const Tokenizer& tokenizer, std::vector<ByteSpan> replies)
      : tokenizer_(tokenizer), replies_(std::move(replies)) {}

  // `text` is what begins at the byte `begin` of the conversation. The
  // template's text and the messages' are one to the tokenizer: a content that
  // starts with a line feed merges with the header's.
  void AddText(std::string_view text, size_t begin) {
    for (int32_t id : tokenizer_.Encode(text)) {
      Add(id, begin);
      begin += tokenizer_.TokenText(id).size();
    }
  }

  void Add(int32_t id, size_t begin) {
    while (next_reply_ < replies_.size() &&
           replies_[next_reply_].end <= begin) {
      ++next_reply_;
    }
    const bool is_target = !example_.tokens.empty() &&
                           next_reply_ < replies_.size() &&
                           replies_[next_reply_].begin <= begin;
    example_.tokens.push_back(id);
    example_.is_target.push_back(is_target);
    if (!is_target) return;
    example_.target_bytes +=
        static_cast<int64_t>(tokenizer_.TokenText(id).size());
  }

  TokenizedExample Finish() && { return std::move(example_); }

 private:
  const Tokenizer& tokenizer_;
  std::vector<ByteSpan> replies_;
  size_t next_reply_ = 0;  // the first that ends after what was added last
  TokenizedExample example_;
};

TokenizedExample TokenizeRendered(const Tokenizer& tokenizer,
                                  const jinja::Text& text,
                                  const std::vector<ControlTokenAt>& control,
                                  std::vector<ByteSpan> replies) {
  ExampleWriter writer(tokenizer, std::move(replies));
  const std::string_view bytes = text.bytes();
  size_t at = 0;
  for (const ControlTokenAt& token : control) {
    writer.AddText(bytes.substr(at, token.bytes.begin - at), at);
    writer.Add(token.id, token.bytes.begin);
    at = token.bytes.end;
  }
  writer.AddText(bytes.substr(at), at);
  return std::move(writer).Finish();
}

// What the template adds to `text`, the conversation, to ask for a reply.
StatusOr<std::string> GenerationPrompt(const ChatFormat& format,
                                       const std::vector<ChatMessage>& messages,
                                       const jinja::Text& text) {
  TANDEM_ASSIGN_OR_RETURN(
      const jinja::Text asking,
      format.Render(messages, /*add_generation_prompt=*/true, kTrainingDate));
  if (!asking.bytes().starts_with(text.bytes())) return std::string();
  return asking.bytes().substr(text.size());
}

}  // namespace

StatusOr<TokenizedExample> TokenizeChat(
    const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages) {
  const ChatFormat& format = tokenizer.chat_format();
  TANDEM_ASSIGN_OR_RETURN(
      const jinja::Text text,
      format.Render(messages, /*add_generation_prompt=*/false, kTrainingDate));
  TANDEM_ASSIGN_OR_RETURN(const std::string prompt,
                          GenerationPrompt(format, messages, text));
  const std::vector<ControlTokenAt> control =
      FindControlTokens(text, format, tokenizer.data());
  TANDEM_ASSIGN_OR_RETURN(std::vector<ByteSpan> replies,
                          ReplySpans(messages, text, prompt, control));
  return TokenizeRendered(tokenizer, text, control, std::move(replies));
}

StatusOr<std::vector<int32_t>> TokenizeChatPrompt(
    const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages,
    TimePoint now) {
  const ChatFormat& format = tokenizer.chat_format();
  TANDEM_ASSIGN_OR_RETURN(
      const jinja::Text text,
      format.Render(messages, /*add_generation_prompt=*/true, now));
  return TokenizeRendered(tokenizer, text,
                          FindControlTokens(text, format, tokenizer.data()), {})
      .tokens;
}

}  // namespace tandem
