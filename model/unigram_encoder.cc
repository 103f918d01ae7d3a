// The unigram language model's segmentation (Kudo, 2018) by Viterbi's
// algorithm, as Hugging Face and SentencePiece run it: scores are summed in
// their order.
#include <algorithm>
#include <limits>

#include "model/prefix_trie.h"
#include "model/sentence_piece_text.h"
#include "model/text_encoder.h"
#include "model/utf8.h"

namespace tandem {
namespace {

// SentencePiece's: an unknown character costs this more than the worst token.
constexpr double kUnknownPenalty = 10;
// SentencePiece's for each byte after the first of a user-defined token. Other
// scores are below 0, so that these are taken wherever they stand.
constexpr double kUserDefinedBonus = 0.1;

// The best way to get to a place of the text.
struct BestPath {
  double score = 0;
  size_t begin = kNowhere;  // of its last token
  int32_t id = kNoToken;
  static constexpr size_t kNowhere = std::numeric_limits<size_t>::max();
};

class UnigramEncoder : public TextEncoder {
 public:
  UnigramEncoder(const TokenizerData& data, const TokenIndex& index)
      : data_(data), unknown_(data, index) {
    scores_.reserve(data.tokens.size());
    double least = std::numeric_limits<double>::infinity();
    for (size_t id = 0; id < data.tokens.size(); ++id) {
      scores_.push_back(Kept(ScoreOf(id)));
      if (data.types[id] != TokenType::kUnused) {
        least = std::min(least, data.scores[id]);
      }
      if (!IsFound(data.types[id])) continue;
      trie_.Add(data.tokens[id], static_cast<int32_t>(id));
    }
    unknown_score_ = Kept(least - kUnknownPenalty);
  }

  void Encode(std::string_view part, bool is_first, EncoderScratch& scratch,
              std::vector<int32_t>* ids) const override {
    MarkSpaces(data_, part, is_first, &scratch.buffer, &scratch.normalized);
    std::string_view text = scratch.normalized;
    while (!text.empty()) {
      // Each piece begins with a mark, or with the text.
      size_t end = text.size();
      if (data_.split_at_spaces) end = std::min(end, text.find(kSpaceMark, 1));
      EncodeCached(text.substr(0, end), scratch, ids);
      text.remove_prefix(end);
    }
  }

 private:
  bool IsFound(TokenType type) const {
    const bool is_dropped =
        type == TokenType::kUnused && data_.as_sentence_piece;
    return IsTextToken(type) && !is_dropped;
  }

  double ScoreOf(size_t id) const {
    if (!data_.as_sentence_piece ||
        data_.types[id] != TokenType::kUserDefined) {
      return data_.scores[id];
    }
    const auto bytes = static_cast<double>(data_.tokens[id].size());
    return kUserDefinedBonus * bytes - kUserDefinedBonus;
  }

  // SentencePiece keeps scores and sums in single precision: of two ways that
  // are as good the rounding decides.
  double Kept(double score) const {
    return data_.as_sentence_piece ? static_cast<float>(score) : score;
  }

  void EncodeCached(std::string_view piece, EncoderScratch& scratch,
                    std::vector<int32_t>* ids) const {
    if (scratch.words.Append(piece, ids)) return;
    const size_t begin = ids->size();
    EncodePiece(piece, ids);
    scratch.words.Keep(piece, ids->data() + begin, ids->size() - begin);
  }

  void EncodePiece(std::string_view piece, std::vector<int32_t>* ids) const {
    const std::vector<BestPath> best = FindBestPaths(piece);
    std::vector<size_t> ends;
    for (size_t end = piece.size(); end > 0; end = best[end].begin) {
      ends.push_back(end);
    }
    const size_t first = ids->size();
    for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
      const BestPath& step = best[*end];
      if (step.id != kNoToken) {
        ids->push_back(step.id);
      } else {
        unknown_.Append(piece.substr(step.begin, *end - step.begin), first,
                        ids);
      }
    }
  }

  // By where they end.
  std::vector<BestPath> FindBestPaths(std::string_view piece) const {
    std::vector<BestPath> best(piece.size() + 1);
    for (size_t at = 0; at < piece.size();) {
      const size_t character = DecodeValidUtf8(piece, at).bytes;
      bool is_known = false;
      const auto offer = [&](size_t bytes, double score, int32_t id) {
        BestPath& target = best[at + bytes];
        score = Kept(score + best[at].score);
        if (target.begin != BestPath::kNowhere && score <= target.score) return;
        target = {score, at, id};
      };
      trie_.ForEachAt(piece, at, [&](size_t bytes, int32_t id) {
        offer(bytes, scores_[id], id);
        is_known |= bytes == character;
      });
      if (!is_known) offer(character, unknown_score_, kNoToken);
      at += character;
    }
    return best;
  }

  const TokenizerData& data_;
  UnknownCharacters unknown_;
  PrefixTrie trie_;
  std::vector<double> scores_;  // by id
  double unknown_score_ = 0;
};

}  // namespace

StatusOr<std::unique_ptr<TextEncoder>> MakeUnigramEncoder(
    const TokenizerData& data, const TokenIndex& index) {
  if (data.scores.empty()) {
    return InvalidArgument("a unigram tokenizer has no scores");
  }
  return std::make_unique<UnigramEncoder>(data, index);
}

}  // namespace tandem
