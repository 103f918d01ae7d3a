#include "model/chat_template.h"

namespace tandem {
namespace {

constexpr char kDefaultSystemMessage[] =
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

// Puts ids at the end of an example, as targets or not.
class ExampleWriter {
 public:
  explicit ExampleWriter(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void AddMarker(const char* text, bool is_target) {
    for (int32_t id : tokenizer_.Encode(text, /*parse_special=*/true)) {
      Add(id, is_target);
    }
  }

  // Tokens that begin within the first `header_bytes` are no targets.
  void AddText(const std::string& text, size_t header_bytes, bool is_target) {
    size_t begin = 0;
    for (int32_t id : tokenizer_.Encode(text)) {
      Add(id, is_target && begin >= header_bytes);
      begin += tokenizer_.Decode({id}).size();
    }
  }

  TokenizedExample Finish() && { return std::move(example_); }

 private:
  void Add(int32_t id, bool is_target) {
    example_.tokens.push_back(id);
    example_.is_target.push_back(is_target);
    if (!is_target) return;
    example_.target_bytes +=
        static_cast<int64_t>(tokenizer_.Decode({id}).size());
  }

  const Tokenizer& tokenizer_;
  TokenizedExample example_;
};

// Header and content are one text to the tokenizer, as they are in the rendered
// template: a content that starts with a line feed merges with the header's.
void AddMessage(const ChatMessage& message, ExampleWriter* writer) {
  const bool is_target = message.role == "assistant";
  const std::string header = message.role + "\n";
  writer->AddMarker("<|im_start|>", false);
  writer->AddText(header + message.content, header.size(), is_target);
  writer->AddMarker("<|im_end|>", is_target);
  writer->AddText("\n", 0, false);
}

void AddMessages(const std::vector<ChatMessage>& messages,
                 ExampleWriter* writer) {
  if (!messages.empty() && messages.front().role != "system") {
    AddMessage({"system", kDefaultSystemMessage}, writer);
  }
  for (const ChatMessage& message : messages) AddMessage(message, writer);
}

}  // namespace

TokenizedExample TokenizeChat(const Tokenizer& tokenizer,
                              const std::vector<ChatMessage>& messages) {
  ExampleWriter writer(tokenizer);
  AddMessages(messages, &writer);
  return std::move(writer).Finish();
}

std::vector<int32_t> TokenizeChatPrompt(
    const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages) {
  ExampleWriter writer(tokenizer);
  AddMessages(messages, &writer);
  writer.AddMarker("<|im_start|>", false);
  writer.AddText("assistant\n", 0, false);
  return std::move(writer).Finish().tokens;
}

}  // namespace tandem
