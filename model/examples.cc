#include "model/examples.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/files.h"

namespace tandem {
namespace {

using nlohmann::json;

constexpr char kExpected[] =
    R"(expected {"text"}, {"prompt", "completion"} or {"messages"})";

StatusOr<std::string> StringField(const json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end()) return InvalidArgument("'{}' is missing", name);
  if (!field->is_string()) {
    return InvalidArgument("'{}' is {}, expected a string", name,
                           field->type_name());
  }
  return field->get<std::string>();
}

StatusOr<ChatMessage> ParseMessage(const json& object) {
  if (!object.is_object()) {
    return InvalidArgument("a message is {}, expected an object",
                           object.type_name());
  }
  ChatMessage message;
  TANDEM_ASSIGN_OR_RETURN(message.role, StringField(object, "role"));
  TANDEM_ASSIGN_OR_RETURN(message.content, StringField(object, "content"));
  for (const char* known : {"system", "user", "assistant"}) {
    if (message.role == known) return message;
  }
  return InvalidArgument(
      "'role' is '{}', expected 'system', 'user' or 'assistant'", message.role);
}

StatusOr<std::vector<ChatMessage>> ParseMessages(const json& array) {
  if (!array.is_array() || array.empty()) {
    return InvalidArgument("'messages' is {}, expected a list of messages",
                           array.is_array() ? "empty" : array.type_name());
  }
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < array.size(); ++i) {
    StatusOr<ChatMessage> message = ParseMessage(array[i]);
    if (!message.ok()) {
      return Annotate(message.status(), fmt::format("messages[{}]", i));
    }
    messages.push_back(*std::move(message));
  }
  return messages;
}

StatusOr<Example> ParseExample(const json& object) {
  if (!object.is_object()) {
    return InvalidArgument("{}, got {}", kExpected, object.type_name());
  }
  const bool has_text = object.contains("text");
  const bool has_messages = object.contains("messages");
  const bool has_pair =
      object.contains("prompt") || object.contains("completion");
  if (has_text + has_messages + has_pair != 1) {
    return InvalidArgument("{}, got {} of them", kExpected,
                           has_text + has_messages + has_pair);
  }
  Example example;
  if (has_text) {
    TANDEM_ASSIGN_OR_RETURN(example.text, StringField(object, "text"));
  } else if (has_messages) {
    TANDEM_ASSIGN_OR_RETURN(example.messages,
                            ParseMessages(object["messages"]));
  } else {
    TANDEM_ASSIGN_OR_RETURN(std::string prompt, StringField(object, "prompt"));
    TANDEM_ASSIGN_OR_RETURN(std::string completion,
                            StringField(object, "completion"));
    example.messages = {{"user", std::move(prompt)},
                        {"assistant", std::move(completion)}};
  }
  return example;
}

StatusOr<Example> ParseLine(std::string_view line) {
  const json object = json::parse(line.begin(), line.end(), nullptr,
                                  /*allow_exceptions=*/false);
  if (object.is_discarded()) {
    return InvalidArgument("not a JSON object in UTF-8; {}", kExpected);
  }
  return ParseExample(object);
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

TokenizedExample TokenizeText(const Tokenizer& tokenizer,
                              const std::string& text) {
  TokenizedExample example;
  example.tokens = tokenizer.Encode(text);
  if (const auto end = tokenizer.end_of_text_id()) {
    example.tokens.push_back(*end);
  }
  example.is_target.assign(example.tokens.size(), 1);
  if (example.tokens.empty()) return example;
  example.is_target[0] = 0;
  const std::vector<int32_t> predicted(example.tokens.begin() + 1,
                                       example.tokens.end());
  example.target_bytes =
      static_cast<int64_t>(tokenizer.Decode(predicted).size());
  return example;
}

// Drops the tokens past `max_tokens`.
void CutTail(const Tokenizer& tokenizer, int64_t max_tokens,
             TokenizedExample* example) {
  const size_t kept = static_cast<size_t>(std::max<int64_t>(max_tokens, 0));
  for (size_t i = kept; i < example->tokens.size(); ++i) {
    if (!example->is_target[i]) continue;
    example->target_bytes -=
        static_cast<int64_t>(tokenizer.Decode({example->tokens[i]}).size());
  }
  if (kept >= example->tokens.size()) return;
  example->tokens.resize(kept);
  example->is_target.resize(kept);
}

bool HasTarget(const TokenizedExample& example) {
  return std::find(example.is_target.begin(), example.is_target.end(), 1) !=
         example.is_target.end();
}

}  // namespace

StatusOr<std::vector<Example>> ReadExamples(const std::filesystem::path& path,
                                            int64_t max_examples) {
  TANDEM_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  std::vector<Example> examples;
  std::string_view rest = file.text();
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (IsBlank(line)) continue;
    StatusOr<Example> example = ParseLine(line);
    if (!example.ok()) {
      return Annotate(example.status(),
                      fmt::format("{}:{}", path.string(), number));
    }
    examples.push_back(*std::move(example));
    if (static_cast<int64_t>(examples.size()) == max_examples) break;
  }
  if (examples.empty()) {
    return InvalidArgument("{} holds no examples; {} on each line",
                           path.string(), kExpected);
  }
  return examples;
}

StatusOr<TokenizedExample> TokenizeExample(const Tokenizer& tokenizer,
                                           const Example& example,
                                           int64_t max_tokens) {
  TokenizedExample tokenized;
  if (example.messages.empty()) {
    tokenized = TokenizeText(tokenizer, example.text);
  } else {
    TANDEM_ASSIGN_OR_RETURN(tokenized,
                            TokenizeChat(tokenizer, example.messages));
  }
  CutTail(tokenizer, max_tokens, &tokenized);
  return tokenized;
}

StatusOr<std::vector<TokenizedExample>> LoadTokenizedExamples(
    const Tokenizer& tokenizer, const std::filesystem::path& path,
    int64_t max_examples, int64_t max_tokens) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Example> examples,
                          ReadExamples(path, max_examples));
  std::vector<TokenizedExample> tokenized;
  for (const Example& example : examples) {
    TANDEM_ASSIGN_OR_RETURN(TokenizedExample one,
                            TokenizeExample(tokenizer, example, max_tokens));
    if (HasTarget(one)) tokenized.push_back(std::move(one));
  }
  if (tokenized.empty()) {
    return InvalidArgument(
        "{}: none of the {} examples has a token to learn within {} tokens",
        path.string(), examples.size(), max_tokens);
  }
  if (tokenized.size() < examples.size()) {
    spdlog::info(
        "{}: dropped {} of {} examples, which have no token to learn "
        "within {} tokens",
        path.string(), examples.size() - tokenized.size(), examples.size(),
        max_tokens);
  }
  return tokenized;
}

}  // namespace tandem
