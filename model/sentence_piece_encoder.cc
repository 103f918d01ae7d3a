// SentencePiece's BPE (Kudo and Richardson, 2018), as llama.cpp runs it from
// scores and Hugging Face from merges.
#include "model/added_tokens.h"
#include "model/byte_pair_merges.h"
#include "model/joined_characters.h"
#include "model/sentence_piece_text.h"
#include "model/text_encoder.h"
#include "model/utf8.h"

namespace tandem {
namespace {

class SentencePieceEncoder : public TextEncoder {
 public:
  SentencePieceEncoder(const TokenizerData& data, const TokenIndex& index,
                       BytePairMerges merges)
      : data_(data),
        index_(index),
        unknown_(data, index),
        merges_(std::move(merges)) {
    for (size_t id = 0; id < data.tokens.size(); ++id) {
      if (IsTextToken(data.types[id])) joined_.AddToken(data.tokens[id]);
      if (data.as_sentence_piece && data.types[id] == TokenType::kUserDefined) {
        user_defined_.Add(data.tokens[id], static_cast<int32_t>(id));
      }
    }
  }

  void Encode(std::string_view part, bool is_first, EncoderScratch& scratch,
              std::vector<int32_t>* ids) const override {
    MarkSpaces(data_, part, is_first, &scratch.buffer, &scratch.normalized);
    const size_t begin = ids->size();
    user_defined_.Split(
        scratch.normalized,
        [&](std::string_view text) { EncodeWords(text, begin, scratch, ids); },
        [&](int32_t id) { ids->push_back(id); });
  }

 private:
  // `begin`: where the part's ids begin.
  void EncodeWords(std::string_view text, size_t begin, EncoderScratch& scratch,
                   std::vector<int32_t>* ids) const {
    for (size_t at = 0; at < text.size();) {
      const size_t end = WordEnd(text, at);
      EncodeWord(text.substr(at, end - at), begin, scratch, ids);
      at = end;
    }
  }

  bool IsCut(char32_t before, char32_t after) const {
    if (data_.split_at_spaces && after == kMark) return true;
    return !joined_.MayContain(before, after);
  }

  size_t WordEnd(std::string_view text, size_t at) const {
    CodePoint before = DecodeValidUtf8(text, at);
    at += before.bytes;
    while (at < text.size()) {
      const CodePoint next = DecodeValidUtf8(text, at);
      if (IsCut(before.value, next.value)) break;
      before = next;
      at += next.bytes;
    }
    return at;
  }

  void EncodeWord(std::string_view word, size_t begin, EncoderScratch& scratch,
                  std::vector<int32_t>* ids) const {
    // Whether its unknown token joins the one before is no matter of the word.
    const bool may_fuse =
        ids->size() > begin && ids->back() == data_.unknown_id;
    if (!may_fuse && scratch.words.Append(word, ids)) return;
    const size_t word_begin = ids->size();
    MergeWord(word, scratch.merger);
    scratch.merger.ForEach([&](const Symbol& symbol) {
      if (symbol.id != kNoToken) return ids->push_back(symbol.id);
      unknown_.Append(word.substr(symbol.begin, symbol.bytes), begin, ids);
    });
    if (may_fuse) return;
    scratch.words.Keep(word, ids->data() + word_begin,
                       ids->size() - word_begin);
  }

  void MergeWord(std::string_view word, SymbolMerger& merger) const {
    merger.Clear();
    for (size_t at = 0; at < word.size();) {
      const size_t bytes = DecodeValidUtf8(word, at).bytes;
      merger.Add(FindText(word.substr(at, bytes)),
                 static_cast<uint32_t>(bytes));
      at += bytes;
    }
    if (!data_.merges.empty()) {
      return merger.MergeAll([&](const Symbol& left, const Symbol& right) {
        return merges_.Find(left.id, right.id);
      });
    }
    merger.MergeAll(
        [&](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
          const int32_t id =
              FindText(word.substr(left.begin, left.bytes + right.bytes));
          if (id == kNoToken) return std::nullopt;
          return Merge{data_.scores[id], id};
        });
  }

  int32_t FindText(std::string_view text) const {
    const int32_t id = index_.Find(text);
    return id != kNoToken && IsTextToken(data_.types[id]) ? id : kNoToken;
  }

  static constexpr char32_t kMark = 0x2581;  // kSpaceMark's

  const TokenizerData& data_;
  const TokenIndex& index_;
  UnknownCharacters unknown_;
  AddedTokens user_defined_;  // those of the marked text
  BytePairMerges merges_;
  JoinedCharacters joined_;
};

}  // namespace

StatusOr<std::unique_ptr<TextEncoder>> MakeSentencePieceEncoder(
    const TokenizerData& data, const TokenIndex& index) {
  if (data.merges.empty() && data.scores.empty()) {
    return InvalidArgument(
        "a SentencePiece tokenizer has neither scores nor merges");
  }
  TANDEM_ASSIGN_OR_RETURN(BytePairMerges merges,
                          BytePairMerges::Create(data.merges, index));
  return std::make_unique<SentencePieceEncoder>(data, index, std::move(merges));
}

}  // namespace tandem
