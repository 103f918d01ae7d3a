#include "model/example_stream.h"

#include <spdlog/spdlog.h>

#include <limits>
#include <utility>

#include "model/example_line.h"
#include "model/example_targets.h"

namespace tandem {
namespace {

constexpr int64_t kLoggedLines = 20;

}  // namespace

StatusOr<OnMalformed> ParseOnMalformed(const std::string& name) {
  if (name == "fail") return OnMalformed::kFail;
  if (name == "skip") return OnMalformed::kSkip;
  return InvalidArgument("on_malformed is '{}'; known: fail, skip", name);
}

ExampleStream::ExampleStream(const std::filesystem::path& path,
                             const Tokenizer& tokenizer,
                             const ExampleStreamOptions& options,
                             ShuffledLines lines)
    : path_(path),
      tokenizer_(&tokenizer),
      options_(options),
      lines_(std::move(lines)) {}

StatusOr<ExampleStream> ExampleStream::Open(
    const std::filesystem::path& path, const Tokenizer& tokenizer,
    const ExampleStreamOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(ShuffledLines lines,
                          ShuffledLines::Open(path, options.shuffle));
  return ExampleStream(path, tokenizer, options, std::move(lines));
}

StatusOr<TokenizedExample> ExampleStream::Next() {
  const int64_t first_epoch = lines_.position().epoch;
  while (true) {
    TANDEM_ASSIGN_OR_RETURN(const TextLine line, lines_.Next());
    if (lines_.position().epoch > first_epoch + 1) {
      return InvalidArgument(
          "{} holds no example with a token to learn within {} tokens",
          path_.string(), options_.max_sequence_tokens);
    }
    StatusOr<TokenizedExample> parsed = Tokenize(line.text);
    if (!parsed.ok()) {
      TANDEM_RETURN_IF_ERROR(NoteMalformed(line.number, parsed.status()));
      continue;
    }
    TokenizedExample tokenized = *std::move(parsed);
    const int64_t cut =
        CutTail(*tokenizer_, options_.max_sequence_tokens, tokenized);
    if (!HasTarget(tokenized)) {
      if (lines_.position().epoch == 0) ++counts_.without_target;
      continue;
    }
    ++counts_.examples;
    counts_.tokens += static_cast<int64_t>(tokenized.tokens.size());
    counts_.cut_tokens += cut;
    return tokenized;
  }
}

StatusOr<TokenizedExample> ExampleStream::Tokenize(
    std::string_view line) const {
  TANDEM_ASSIGN_OR_RETURN(const Example example, ParseExampleLine(line));
  return TokenizeExample(*tokenizer_, example,
                         std::numeric_limits<int64_t>::max());
}

Status ExampleStream::NoteMalformed(int64_t line_number, const Status& why) {
  const Status named =
      Annotate(why, fmt::format("{}:{}", path_.string(), line_number));
  if (options_.on_malformed == OnMalformed::kFail) return named;
  if (lines_.position().epoch > 0) return OkStatus();
  ++counts_.malformed;
  if (counts_.malformed <= kLoggedLines) {
    spdlog::warn("skipped {}", ToString(named));
  } else if (counts_.malformed == kLoggedLines + 1) {
    spdlog::warn("{}: further malformed lines are counted, not named",
                 path_.string());
  }
  return OkStatus();
}

Status ExampleStream::Restore(const State& state) {
  TANDEM_RETURN_IF_ERROR(lines_.Seek(state.position));
  counts_ = state.counts;
  return OkStatus();
}

}  // namespace tandem
