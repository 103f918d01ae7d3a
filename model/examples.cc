#include "model/examples.h"

#include <spdlog/spdlog.h>

#include <optional>

#include "model/example_line.h"
#include "model/example_targets.h"
#include "model/line_reader.h"

namespace tandem {
namespace {

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

}  // namespace

StatusOr<std::vector<Example>> ReadExamples(const std::filesystem::path& path,
                                            int64_t max_examples) {
  TANDEM_ASSIGN_OR_RETURN(LineReader reader, LineReader::Open(path));
  std::vector<Example> examples;
  while (examples.empty() ||
         static_cast<int64_t>(examples.size()) != max_examples) {
    TANDEM_ASSIGN_OR_RETURN(const std::optional<TextLine> line, reader.Next());
    if (!line) break;
    if (IsBlank(line->text)) continue;
    StatusOr<Example> example = ParseExampleLine(line->text);
    if (!example.ok()) {
      return Annotate(example.status(),
                      fmt::format("{}:{}", path.string(), line->number));
    }
    examples.push_back(*std::move(example));
  }
  if (examples.empty()) {
    return InvalidArgument("{} holds no examples; {} on each line",
                           path.string(), ExpectedExample());
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
  CutTail(tokenizer, max_tokens, tokenized);
  return tokenized;
}

StatusOr<std::vector<TokenizedExample>> LoadTokenizedExamples(
    const Tokenizer& tokenizer, const std::filesystem::path& path,
    int64_t max_examples, int64_t max_tokens) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Example> examples,
                          ReadExamples(path, max_examples));
  std::vector<TokenizedExample> tokenized;
  for (size_t i = 0; i < examples.size(); ++i) {
    StatusOr<TokenizedExample> one =
        TokenizeExample(tokenizer, examples[i], max_tokens);
    if (!one.ok()) {
      return Annotate(one.status(),
                      fmt::format("{}: example {}", path.string(), i + 1));
    }
    if (HasTarget(*one)) tokenized.push_back(*std::move(one));
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
