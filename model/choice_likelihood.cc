#include "model/choice_likelihood.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>

#include "model/aten.h"

namespace tandem {
namespace {

// Of one forward pass: enough for large matrix products.
constexpr int64_t kChoicePassTokens = 1024;
// Of which logits exist at one time.
constexpr int64_t kChoiceLogitRows = 128;

// Sorted, each once.
std::vector<int64_t> Distinct(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

int64_t PlaceOf(int64_t value, const std::vector<int64_t>& sorted) {
  return std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
}

// log p(tokens[i]) by the logits of hidden's row rows[i].
std::vector<double> LogProbabilities(const Decoder& model,
                                     const at::Tensor& hidden,
                                     const std::vector<int64_t>& rows,
                                     const std::vector<int64_t>& tokens) {
  std::vector<double> result(rows.size());
  for (int64_t from = 0; from < hidden.size(0); from += kChoiceLogitRows) {
    const int64_t n = std::min(kChoiceLogitRows, hidden.size(0) - from);
    const at::Tensor log_probabilities =
        at::log_softmax(model.Logits(hidden.narrow(0, from, n)), -1);
    const float* values = log_probabilities.const_data_ptr<float>();
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i] >= from && rows[i] < from + n)
        result[i] =
            values[(rows[i] - from) * log_probabilities.size(1) + tokens[i]];
  }
  return result;
}

}  // namespace

bool ChoiceBatch::Joins(const std::vector<TokenizedChoice>& item) const {
  if (tries_.empty()) return false;
  const std::vector<int32_t>& first = item.front().tokens;
  return 2 * tries_.back().SharedWith(first) >= std::ssize(first);
}

int64_t ChoiceBatch::NewTokens(const std::vector<TokenizedChoice>& item) const {
  // A copy is cheap beside the forward pass.
  TokenTrie trie = Joins(item) ? tries_.back() : TokenTrie();
  const int64_t before = trie.size();
  for (const TokenizedChoice& choice : item) trie.Insert(choice.tokens);
  return trie.size() - before;
}

bool ChoiceBatch::HasRoomFor(const std::vector<TokenizedChoice>& item) const {
  if (empty()) return true;
  return finished_tokens_ + tries_.back().size() + NewTokens(item) <=
         kChoicePassTokens;
}

void ChoiceBatch::Add(const std::vector<TokenizedChoice>& item) {
  if (!Joins(item)) {
    if (!tries_.empty()) finished_tokens_ += tries_.back().size();
    tries_.emplace_back();
  }
  std::vector<int64_t>& lengths = items_.emplace_back();
  for (const TokenizedChoice& choice : item) {
    const std::vector<int64_t> nodes = tries_.back().Insert(choice.tokens);
    for (size_t t = choice.first_target; t < nodes.size(); ++t) {
      rows_.push_back(finished_tokens_ + nodes[t - 1]);
      targets_.push_back(choice.tokens[t]);
    }
    lengths.push_back(std::ssize(nodes) - choice.first_target);
  }
}

std::vector<std::vector<double>> ChoiceBatch::LogLikelihoods(
    const Decoder& model, const Adapter* adapter) const {
  const at::NoGradGuard no_grad;
  std::vector<const TokenTrie*> tries;
  tries.reserve(tries_.size());
  for (const TokenTrie& trie : tries_) tries.push_back(&trie);
  // Rows that several choices are predicted from are computed once.
  const std::vector<int64_t> rows = Distinct(rows_);
  const at::Tensor hidden =
      model.ForwardTries(tries, at::tensor(rows, at::kLong), adapter);
  std::vector<int64_t> places;
  places.reserve(rows_.size());
  for (const int64_t row : rows_) places.push_back(PlaceOf(row, rows));
  const std::vector<double> log_probabilities =
      LogProbabilities(model, hidden, places, targets_);
  std::vector<std::vector<double>> result;
  const double* next = log_probabilities.data();
  for (const std::vector<int64_t>& lengths : items_) {
    std::vector<double>& sums = result.emplace_back();
    for (const int64_t length : lengths) {
      sums.push_back(std::accumulate(next, next + length, 0.0));
      next += length;
    }
  }
  return result;
}

}  // namespace tandem
