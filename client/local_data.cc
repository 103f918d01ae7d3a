#include "client/local_data.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace tandem {

StatusOr<LocalData> ReadLocalData(const proto::ClientDataConfig& config) {
  if (config.train().empty() && config.evaluation().empty()) {
    return InvalidArgument(
        "data.train and data.evaluation are both unset, expected at least one "
        "JSONL file");
  }
  LocalData data;
  data.name = config.name();
  if (!config.train().empty()) {
    TANDEM_ASSIGN_OR_RETURN(data.train, ReadExamples(config.train()));
  }
  if (!config.evaluation().empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        data.evaluation,
        ReadExamples(config.evaluation(), config.max_evaluation_examples()));
  }
  return data;
}

StatusOr<LocalData> PartOfLocalData(const LocalData& data, int64_t index,
                                    int64_t parts) {
  const auto size = static_cast<int64_t>(data.train.size());
  if (!data.train.empty() && size < parts) {
    return InvalidArgument(
        "{} training examples cannot be shared among {} clients", size, parts);
  }
  LocalData part{data.name, {}, data.evaluation};
  for (int64_t i = index; i < size; i += parts) {
    part.train.push_back(data.train[i]);
  }
  return part;
}

StatusOr<std::vector<TokenizedExample>> TokenizeExamples(
    const Tokenizer& tokenizer, const std::vector<Example>& examples,
    int64_t max_tokens, const std::string& what) {
  std::vector<TokenizedExample> tokenized;
  tokenized.reserve(examples.size());
  for (const Example& example : examples) {
    TANDEM_ASSIGN_OR_RETURN(TokenizedExample one,
                            TokenizeExample(tokenizer, example, max_tokens));
    if (std::any_of(one.is_target.begin(), one.is_target.end(),
                    [](uint8_t target) { return target != 0; })) {
      tokenized.push_back(std::move(one));
    }
  }
  if (tokenized.empty()) {
    return FailedPrecondition(
        "{}: none of {} examples has anything to learn within {} tokens", what,
        examples.size(), max_tokens);
  }
  if (const size_t dropped = examples.size() - tokenized.size()) {
    spdlog::warn("{}: {} of {} examples have nothing to learn within {} tokens",
                 what, dropped, examples.size(), max_tokens);
  }
  return tokenized;
}

}  // namespace tandem
