// Byte-level BPE, as GPT-2 defined it and llama.cpp and Hugging Face run it.
#include <array>

#include "model/byte_alphabet.h"
#include "model/byte_pair_merges.h"
#include "model/pre_tokenizer.h"
#include "model/text_encoder.h"
#include "model/unicode_normalization.h"

namespace tandem {
namespace {

class ByteLevelEncoder : public TextEncoder {
 public:
  ByteLevelEncoder(const TokenizerData& data, const TokenIndex& index,
                   PreTokenizer pre_tokenizer, BytePairMerges merges)
      : data_(data),
        index_(index),
        pre_tokenizer_(pre_tokenizer),
        merges_(std::move(merges)) {
    for (int byte = 0; byte < 256; ++byte) {
      id_of_byte_[byte] = index.Find(PrintableByte(byte));
    }
  }

  void Encode(std::string_view part, bool /*is_first*/, EncoderScratch& scratch,
              std::vector<int32_t>* ids) const override {
    if (data_.normalize_nfc) part = AsNfc(part, &scratch.normalized);
    for (size_t at = 0; at < part.size();) {
      const size_t end = pre_tokenizer_.PieceEnd(part, at);
      const std::string_view piece = part.substr(at, end - at);
      at = end;
      if (scratch.words.Append(piece, ids)) continue;
      const size_t begin = ids->size();
      EncodePiece(piece, scratch, ids);
      scratch.words.Keep(piece, ids->data() + begin, ids->size() - begin);
    }
  }

 private:
  void EncodePiece(std::string_view piece, EncoderScratch& scratch,
                   std::vector<int32_t>* ids) const {
    if (data_.ignore_merges) {
      const int32_t whole = FindWhole(piece, &scratch.buffer);
      if (whole != kNoToken) return ids->push_back(whole);
    }
    scratch.merger.Clear();
    for (unsigned char byte : piece) scratch.merger.Add(id_of_byte_[byte], 1);
    scratch.merger.MergeAll([&](const Symbol& left, const Symbol& right) {
      return merges_.Find(left.id, right.id);
    });
    scratch.merger.ForEach([&](const Symbol& symbol) {
      if (symbol.id != kNoToken) ids->push_back(symbol.id);
    });
  }

  int32_t FindWhole(std::string_view piece, std::string* printable) const {
    printable->clear();
    for (unsigned char byte : piece) *printable += PrintableByte(byte);
    const int32_t id = index_.Find(*printable);
    const bool is_text =
        id != kNoToken && data_.types[id] == TokenType::kNormal;
    return is_text ? id : kNoToken;
  }

  const TokenizerData& data_;
  const TokenIndex& index_;
  PreTokenizer pre_tokenizer_;
  BytePairMerges merges_;
  std::array<int32_t, 256> id_of_byte_;  // kNoToken where there is none
};

}  // namespace

StatusOr<std::unique_ptr<TextEncoder>> MakeByteLevelEncoder(
    const TokenizerData& data, const TokenIndex& index) {
  TANDEM_ASSIGN_OR_RETURN(const PreTokenizer pre_tokenizer,
                          PreTokenizer::Create(data.pre_tokenizer));
  TANDEM_ASSIGN_OR_RETURN(BytePairMerges merges,
                          BytePairMerges::Create(data.merges, index));
  return std::make_unique<ByteLevelEncoder>(data, index, pre_tokenizer,
                                            std::move(merges));
}

}  // namespace tandem
