#include "model/token_texts.h"

#include "model/byte_alphabet.h"
#include "model/byte_token.h"
#include "model/sentence_piece_text.h"

namespace tandem {
namespace {

std::string TextOf(const std::string& token, TokenType type,
                   TokenizerModel model) {
  if (IsAddedToken(type)) return token;
  if (model == TokenizerModel::kByteLevelBpe) {
    return BytesFromPrintable(token).value_or(token);
  }
  if (type == TokenType::kByte) {
    const auto byte = ByteOfToken(token);
    return byte ? std::string(1, static_cast<char>(*byte)) : token;
  }
  return UnmarkSpaces(token);
}

}  // namespace

TokenTexts::TokenTexts(const TokenizerData& data) {
  begins_.reserve(data.tokens.size() + 1);
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    begins_.push_back(bytes_.size());
    bytes_ += TextOf(data.tokens[id], data.types[id], data.model);
  }
  begins_.push_back(bytes_.size());
}

}  // namespace tandem
