// Text as SentencePiece's vocabularies have it: "▁" for a space.
#ifndef TANDEM_MODEL_SENTENCE_PIECE_TEXT_H_
#define TANDEM_MODEL_SENTENCE_PIECE_TEXT_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/token_index.h"
#include "model/tokenizer_data.h"

namespace tandem {

inline constexpr std::string_view kSpaceMark = "\u2581";

// *marked becomes `part` with its prefix, in form C and without needless spaces
// where data says so, and with marks for spaces. `storage` is for work.
// REQUIRES: valid UTF-8.
void MarkSpaces(const TokenizerData& data, std::string_view part, bool is_first,
                std::string* storage, std::string* marked);

// A token's text with spaces for marks.
std::string UnmarkSpaces(std::string_view token);

// A token that text may become: no control, unknown or byte token.
inline bool IsTextToken(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUserDefined ||
         type == TokenType::kUnused;
}

// InvalidArgument: what neither a tokenizer.json nor a GGUF's BPE can say,
// spaces that are dropped or user-defined tokens found as SentencePiece finds
// them.
Status CheckHasOtherForm(const TokenizerData& data);

// Ids for characters that have no token.
class UnknownCharacters {
 public:
  UnknownCharacters(const TokenizerData& data, const TokenIndex& index);

  // Appends the tokens of the bytes; where the vocabulary lacks one of them the
  // unknown token, once for neighbours if data.fuse_unknown; without that
  // nothing. `begin`: where in *ids neighbours may be looked for.
  void Append(std::string_view text, size_t begin,
              std::vector<int32_t>* ids) const;

 private:
  std::array<int32_t, 256> id_of_byte_;  // kNoToken: none
  int32_t unknown_;                      // or kNoToken
  bool fuse_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_SENTENCE_PIECE_TEXT_H_
