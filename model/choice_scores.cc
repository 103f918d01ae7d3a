#include "model/choice_scores.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "model/choice_likelihood.h"
#include "model/utf8.h"

namespace tandem {
namespace {

std::string_view WithoutLeadingSpace(std::string_view text) {
  if (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

double CharactersOf(std::string_view text) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size(); at += DecodeUtf8(text, at).bytes)
    ++count;
  return static_cast<double>(count);
}

// The index of the largest log_likelihoods[i] / length(choice i).
template <typename Length>
int64_t Likeliest(const ChoiceItem& item, const std::vector<double>& nats,
                  Length&& length) {
  std::vector<double> scores;
  scores.reserve(nats.size());
  for (size_t i = 0; i < nats.size(); ++i)
    scores.push_back(nats[i] /
                     std::max(1.0, length(WithoutLeadingSpace(
                                       item.choices[i].continuation))));
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

ChoiceScores ScoresOf(const ChoiceItem& item, std::vector<double> nats) {
  ChoiceScores scores;
  scores.likeliest =
      Likeliest(item, nats, [](std::string_view) { return 1.0; });
  scores.likeliest_per_character = Likeliest(item, nats, CharactersOf);
  scores.likeliest_per_byte = Likeliest(item, nats, [](std::string_view text) {
    return static_cast<double>(text.size());
  });
  const size_t bytes = item.choices[item.gold].continuation.size();
  scores.bits_per_byte =
      -nats[item.gold] / std::numbers::ln2 / static_cast<double>(bytes);
  scores.log_likelihoods = std::move(nats);
  return scores;
}

template <typename Value>
Estimate EstimateOf(size_t count, Value&& value) {
  const double n = static_cast<double>(count);
  Estimate estimate;
  for (size_t i = 0; i < count; ++i) estimate.mean += value(i) / n;
  if (count < 2) return estimate;
  double squares = 0;
  for (size_t i = 0; i < count; ++i)
    squares += std::pow(value(i) - estimate.mean, 2);
  estimate.standard_error = std::sqrt(squares / (n - 1) / n);
  return estimate;
}

}  // namespace

StatusOr<std::vector<ChoiceScores>> ScoreChoices(
    const Decoder& model, const Adapter* adapter, const Tokenizer& tokenizer,
    const std::vector<ChoiceItem>& items,
    const std::function<void(int64_t, int64_t)>& on_progress) {
  std::vector<ChoiceScores> scores;
  scores.reserve(items.size());
  ChoiceBatch batch;
  const auto score_batch = [&] {
    for (std::vector<double>& nats : batch.LogLikelihoods(model, adapter))
      scores.push_back(ScoresOf(items[scores.size()], std::move(nats)));
    batch = ChoiceBatch();
    if (on_progress) on_progress(std::ssize(scores), std::ssize(items));
  };
  for (const ChoiceItem& item : items) {
    std::vector<TokenizedChoice> choices;
    for (const Choice& choice : item.choices) {
      auto tokenized =
          TokenizeChoice(tokenizer, choice, model.config().context_length);
      if (!tokenized.ok())
        return Annotate(tokenized.status(), fmt::format("item {}", item.id));
      choices.push_back(*std::move(tokenized));
    }
    if (!batch.HasRoomFor(choices)) score_batch();
    batch.Add(choices);
  }
  if (!batch.empty()) score_batch();
  return scores;
}

ChoiceMetrics MetricsOf(const std::vector<ChoiceItem>& items,
                        const std::vector<ChoiceScores>& scores) {
  const auto share_right = [&](int64_t ChoiceScores::* choice) {
    return EstimateOf(items.size(), [&](size_t i) {
      return scores[i].*choice == items[i].gold ? 1.0 : 0.0;
    });
  };
  return {.accuracy = share_right(&ChoiceScores::likeliest),
          .accuracy_per_character =
              share_right(&ChoiceScores::likeliest_per_character),
          .accuracy_per_byte = share_right(&ChoiceScores::likeliest_per_byte),
          .bits_per_byte = EstimateOf(
              items.size(), [&](size_t i) { return scores[i].bits_per_byte; })};
}

}  // namespace tandem
