#include "model/merge_scores.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "model/sentence_piece_text.h"
#include "model/token_index.h"
#include "model/utf8.h"

namespace tandem {
namespace {

struct SplitToken {
  double score;
  size_t left_characters, right_characters;
  int32_t token, left, right;
};

// In the order of merges: as transformers, downwards by score and lengths, then
// upwards by ids.
bool GoesBefore(const SplitToken& a, const SplitToken& b) {
  return std::tie(b.score, b.left_characters, b.right_characters, a.token,
                  a.left, a.right) < std::tie(a.score, a.left_characters,
                                              a.right_characters, b.token,
                                              b.left, b.right);
}

// Tokens that merging may make or take: user-defined ones are found whole.
bool IsMergeable(const TokenizerData& data, int32_t id) {
  return id != kNoToken && IsTextToken(data.types[id]) &&
         !IsAddedToken(data.types[id]);
}

// Appends the ways to split a token.
void AppendSplits(const TokenizerData& data, const TokenIndex& index,
                  int32_t id, std::vector<SplitToken>* splits) {
  const std::string_view token = data.tokens[id];
  const size_t first = splits->size();
  size_t characters = 0;
  for (size_t at = 0; at < token.size(); ++characters) {
    at += DecodeUtf8(token, at).bytes;
    const int32_t left = index.Find(token.substr(0, at));
    const int32_t right = index.Find(token.substr(at));
    if (at == token.size() || !IsMergeable(data, left) ||
        !IsMergeable(data, right)) {
      continue;
    }
    splits->push_back({data.scores[id], characters + 1, 0, id, left, right});
  }
  for (size_t i = first; i < splits->size(); ++i) {
    (*splits)[i].right_characters = characters - (*splits)[i].left_characters;
  }
}

}  // namespace

StatusOr<std::vector<std::string>> MergesOf(const TokenizerData& data) {
  if (!data.merges.empty() || data.scores.empty()) return data.merges;
  TANDEM_ASSIGN_OR_RETURN(const TokenIndex index,
                          TokenIndex::Create(data.tokens));
  std::vector<SplitToken> splits;
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (IsMergeable(data, id)) AppendSplits(data, index, id, &splits);
  }
  std::sort(splits.begin(), splits.end(), GoesBefore);
  std::vector<std::string> merges;
  merges.reserve(splits.size());
  for (const SplitToken& split : splits) {
    merges.push_back(data.tokens[split.left] + " " + data.tokens[split.right]);
  }
  return merges;
}

std::vector<double> ScoresOf(const TokenizerData& data) {
  if (!data.scores.empty()) return data.scores;
  std::unordered_map<std::string, double> score_of;
  for (const std::string& merge : data.merges) {
    std::string token = merge;
    token.erase(std::min(token.find(' '), token.size()), 1);
    const double rank = static_cast<double>(score_of.size());
    score_of.emplace(std::move(token), -rank);
  }
  std::vector<double> scores;
  scores.reserve(data.tokens.size());
  for (const std::string& token : data.tokens) {
    const auto found = score_of.find(token);
    // What no merge makes is never compared.
    scores.push_back(found == score_of.end() ? 0 : found->second);
  }
  return scores;
}

}  // namespace tandem
