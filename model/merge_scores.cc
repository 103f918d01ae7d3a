#include "model/merge_scores.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "model/byte_pair_merges.h"
#include "model/sentence_piece_text.h"
#include "model/symbol_merger.h"
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

// What merging comes to that begins with one token's own characters: the two
// symbols that make the whole, if it gets so far, and their merge, if there is
// one. Merges within a stretch of text go in the same order whatever stands
// around it. So in any text these two are the only ones whose join is the
// token that ever stand side by side.
struct LastPair {
  bool is_reached = false;
  std::string_view left, right;
  std::optional<Merge> merge;
};

class MergeReplay {
 public:
  MergeReplay(const TokenizerData& data, const TokenIndex& index,
              const BytePairMerges& merges)
      : data_(data), index_(index), merges_(merges) {}

  LastPair PairOf(std::string_view text) {
    AddCharacters(text);
    LastPair last;
    merger_.MergeAll([&](const Symbol& left, const Symbol& right) {
      const std::optional<Merge> merge = merges_.Find(left.id, right.id);
      if (left.bytes + right.bytes == text.size()) {
        last = {true, text.substr(0, left.bytes), text.substr(left.bytes),
                merge};
      }
      return merge;
    });
    return last;
  }

 private:
  void AddCharacters(std::string_view text) {
    merger_.Clear();
    for (size_t at = 0; at < text.size();) {
      const size_t bytes = DecodeUtf8(text, at).bytes;
      const int32_t id = index_.Find(text.substr(at, bytes));
      const bool is_text = id != kNoToken && IsTextToken(data_.types[id]);
      merger_.Add(is_text ? id : kNoToken, static_cast<uint32_t>(bytes));
      at += bytes;
    }
  }

  const TokenizerData& data_;
  const TokenIndex& index_;
  const BytePairMerges& merges_;
  SymbolMerger merger_;
};

// Found whole before spaces are marked, so that no marked text has it.
bool IsNeverMerged(const TokenizerData& data, size_t id) {
  return data.types[id] == TokenType::kUserDefined &&
         data.tokens[id].find(kSpaceMark) == std::string::npos;
}

// By scores two symbols merge if, and only if, their join is a text token.
Status CheckMerge(const TokenizerData& data, size_t id, const LastPair& last) {
  if (!last.is_reached) return OkStatus();
  const bool is_text = IsTextToken(data.types[id]);
  if (is_text == last.merge.has_value()) return OkStatus();
  if (is_text) {
    return InvalidArgument(
        "merges that scores cannot say: none makes token {}, '{}', of '{}' and "
        "'{}'",
        id, data.tokens[id], last.left, last.right);
  }
  return InvalidArgument(
      "merges that scores cannot say: '{}' and '{}' make token {}, '{}', which "
      "is "
      "no text",
      last.left, last.right, id, data.tokens[id]);
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

StatusOr<std::vector<double>> ScoresOf(const TokenizerData& data) {
  if (!data.scores.empty()) return data.scores;
  TANDEM_ASSIGN_OR_RETURN(const TokenIndex index,
                          TokenIndex::Create(data.tokens));
  TANDEM_ASSIGN_OR_RETURN(const BytePairMerges merges,
                          BytePairMerges::Create(data.merges, index));
  MergeReplay replay(data, index, merges);
  std::vector<double> scores(data.tokens.size(), 0);
  for (size_t id = 0; id < scores.size(); ++id) {
    if (IsNeverMerged(data, id)) continue;
    const LastPair last = replay.PairOf(data.tokens[id]);
    TANDEM_RETURN_IF_ERROR(CheckMerge(data, id, last));
    // What no merge makes is never compared.
    if (last.merge) scores[id] = last.merge->priority;
  }
  return scores;
}

}  // namespace tandem
