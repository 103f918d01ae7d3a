// All that a tokenizer is made of, as found in a GGUF's metadata, in a
// tokenizer.json or in a SentencePiece tokenizer.model.
#ifndef TANDEM_MODEL_TOKENIZER_DATA_H_
#define TANDEM_MODEL_TOKENIZER_DATA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tandem {

// GGUF's token types, which are SentencePiece's.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

enum class TokenizerModel {
  // Bytes in GPT-2's printable alphabet, merged by rank within the pieces that
  // a pre-tokenizer cuts (GGUF's "gpt2").
  kByteLevelBpe,
  // Characters, "▁" for a space, merged by score, or by rank where there are
  // merges (GGUF's "llama").
  kSentencePieceBpe,
  // Characters again; of all segmentations the one with the greatest sum of
  // scores (Kudo, 2018; GGUF's "t5").
  kUnigram
};

// Where SentencePiece's models put a space of their own. A part is the text
// between two tokens that are found as a whole.
enum class SpacePrefix {
  kNone,
  kEveryPart,                  // llama.cpp's "llama"; Hugging Face's Prepend
  kEveryPartUnlessAllSpaces,   // llama.cpp's "t5"
  kEveryPartUnlessSpaceFirst,  // Hugging Face's Metaspace, "always"
  kTextUnlessSpaceFirst        // the same, "first": before the first part only
};

struct TokenizerData {
  TokenizerModel model = TokenizerModel::kByteLevelBpe;
  std::vector<std::string> tokens;  // by id
  std::vector<TokenType> types;     // by id
  std::vector<std::string> merges;  // "left right", by rank
  std::vector<double> scores;       // by id, or empty: kByteLevelBpe has none
  std::optional<int32_t> bos_id, eos_id, unknown_id, padding_id;
  bool add_bos = false;
  bool normalize_nfc = false;  // text is brought to Unicode's form C first

  // kByteLevelBpe alone.
  std::string pre_tokenizer;   // GGUF's name: "smollm", "gpt-2", ...
  bool ignore_merges = false;  // a piece that is a token is not taken apart

  // The others alone.
  SpacePrefix space_prefix = SpacePrefix::kNone;
  bool collapse_spaces = false;  // those around the text go, runs become one
  bool split_at_spaces = false;  // no token reaches across a space
  // As SentencePiece where others differ: user-defined tokens are looked for in
  // the marked text, and what follows one is no new part; kUnigram sums scores
  // in single precision and never takes unused tokens.
  bool as_sentence_piece = false;
  bool byte_fallback = false;  // unknown characters become tokens "<0xE2>"
  bool fuse_unknown = true;    // neighbours that stay unknown are one token

  std::string
      chat_template;  // Jinja source, see chat_format.h; exported as it is
};

// Found in text as a whole: never made by merging.
inline bool IsAddedToken(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown ||
         type == TokenType::kUserDefined;
}

// Steers the model and is no text: never made from plain text, and not shown.
inline bool IsControlToken(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKENIZER_DATA_H_
