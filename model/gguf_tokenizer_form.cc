#include "model/gguf_tokenizer_form.h"

#include <algorithm>
#include <limits>

#include "model/byte_token.h"
#include "model/pre_tokenizer.h"
#include "model/sentence_piece_text.h"
#include "model/token_index.h"

namespace tandem {
namespace {

// The pre-tokenizer's name says the other two.
Status CheckByteLevelForm(const TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const PreTokenizerKind* kind,
                          FindPreTokenizerKind(data.pre_tokenizer));
  if (kind->ignore_merges != data.ignore_merges) {
    return InvalidArgument(
        "pre-tokenizer '{}' with ignore_merges = {} has no GGUF form",
        data.pre_tokenizer, data.ignore_merges);
  }
  if (kind->normalize_nfc == data.normalize_nfc) return OkStatus();
  return InvalidArgument(
      "pre-tokenizer '{}' {} NFC has no GGUF form: the name stands for one {}",
      data.pre_tokenizer, data.normalize_nfc ? "with" : "without",
      kind->normalize_nfc ? "with it" : "without it");
}

Status CheckNoNfc(const TokenizerData& data) {
  if (!data.normalize_nfc) return OkStatus();
  return InvalidArgument(
      "NFC before a SentencePiece or unigram tokenizer has no GGUF form");
}

// A GGUF's models cut nothing at spaces, which is the same where no token
// reaches across one.
Status CheckSplitIsNeedless(const TokenizerData& data) {
  if (!data.split_at_spaces) return OkStatus();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (!IsTextToken(data.types[id]) ||
        data.tokens[id].find(kSpaceMark, 1) == std::string::npos) {
      continue;
    }
    return InvalidArgument(
        "a Metaspace that splits has no GGUF form where a token reaches across "
        "a space, as token {}, '{}', does",
        id, data.tokens[id]);
  }
  return OkStatus();
}

// llama.cpp fails at characters that lack one.
Status CheckEveryByteHasToken(const TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const TokenIndex index,
                          TokenIndex::Create(data.tokens));
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = ByteTokenText(static_cast<unsigned char>(byte));
    const int32_t id = index.Find(text);
    if (id != kNoToken && data.types[id] == TokenType::kByte) continue;
    return InvalidArgument(
        "a SentencePiece BPE has no GGUF form without the byte token '{}'",
        text);
  }
  return OkStatus();
}

Status CheckSentencePieceForm(const TokenizerData& data) {
  TANDEM_RETURN_IF_ERROR(CheckHasOtherForm(data));
  TANDEM_RETURN_IF_ERROR(CheckNoNfc(data));
  if (data.space_prefix != SpacePrefix::kNone &&
      data.space_prefix != SpacePrefix::kEveryPart) {
    return InvalidArgument(
        "a Metaspace that puts a space before some texts has no GGUF form");
  }
  if (!data.byte_fallback) {
    return InvalidArgument(
        "a SentencePiece BPE with byte_fallback = false has no GGUF form");
  }
  TANDEM_RETURN_IF_ERROR(CheckEveryByteHasToken(data));
  return CheckSplitIsNeedless(data);
}

bool HasUnknownToken(const TokenizerData& data) {
  const auto size = static_cast<int64_t>(data.types.size());
  const int64_t id = data.unknown_id.value_or(-1);
  return id >= 0 && id < size && IsControlToken(data.types[id]);
}

// What becomes of characters that no token has.
Status CheckUnknownForm(const TokenizerData& data) {
  if (data.byte_fallback) {
    return InvalidArgument(
        "a unigram tokenizer with byte_fallback = true has no GGUF form: "
        "llama.cpp's has none");
  }
  if (HasUnknownToken(data) && data.fuse_unknown) return OkStatus();
  return InvalidArgument(
      "a unigram tokenizer has no GGUF form without a control token for "
      "unknown characters, one for neighbours");
}

Status CheckSpacesForm(const TokenizerData& data) {
  const bool has_prefix =
      data.space_prefix == SpacePrefix::kEveryPartUnlessAllSpaces;
  if (!has_prefix && data.space_prefix != SpacePrefix::kNone) {
    return InvalidArgument(
        "a unigram tokenizer has no GGUF form with a space before other texts "
        "than llama.cpp's, all but those of spaces alone");
  }
  if (data.collapse_spaces && !has_prefix) {
    return InvalidArgument(
        "a unigram tokenizer that drops spaces has no GGUF form without a "
        "space before the text");
  }
  return CheckSplitIsNeedless(data);
}

// Else unknown characters before and after a cut would become one token.
Status CheckMarkIsToken(const TokenizerData& data) {
  if (!data.split_at_spaces) return OkStatus();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (IsTextToken(data.types[id]) && data.tokens[id] == kSpaceMark) {
      return OkStatus();
    }
  }
  return InvalidArgument(
      "a Metaspace that splits has no GGUF form where '{}' is no token",
      kSpaceMark);
}

Status CheckSinglePrecision(const TokenizerData& data) {
  for (size_t id = 0; id < data.scores.size(); ++id) {
    const double score = data.scores[id];
    if (static_cast<double>(static_cast<float>(score)) == score) continue;
    return InvalidArgument(
        "token {} has the score {}, which GGUF's single precision rounds: "
        "round the scores of tokenizer.json to it",
        id, score);
  }
  return OkStatus();
}

double LeastScoreOfNormalTokens(const TokenizerData& data) {
  double least = std::numeric_limits<double>::infinity();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.types[id] != TokenType::kNormal) continue;
    least = std::min(least, data.scores[id]);
  }
  return least;
}

Status CheckScoresOfOthers(const TokenizerData& data) {
  const double least = LeastScoreOfNormalTokens(data);
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    const TokenType type = data.types[id];
    const double score = data.scores[id];
    if (HasUnigramScore(type)) continue;
    const bool is_in_marked_text =
        type == TokenType::kUserDefined &&
        data.tokens[id].find(kSpaceMark) != std::string::npos;
    if (least <= 0 && score >= least && (!is_in_marked_text || score == 0)) {
      continue;
    }
    return InvalidArgument(
        "token {}, '{}', has the score {}, but llama.cpp reads 0 for all that "
        "is not normal text, of scores down to {}",
        id, data.tokens[id], score, least);
  }
  return OkStatus();
}

Status CheckUnigramForm(const TokenizerData& data) {
  if (data.scores.size() != data.tokens.size()) {
    return InvalidArgument("{} scores for {} tokens", data.scores.size(),
                           data.tokens.size());
  }
  if (data.as_sentence_piece) {
    return InvalidArgument(
        "a tokenizer.model's unigram has no GGUF form: it sums scores in "
        "single precision, llama.cpp's in double");
  }
  TANDEM_RETURN_IF_ERROR(CheckNoNfc(data));
  TANDEM_RETURN_IF_ERROR(CheckUnknownForm(data));
  TANDEM_RETURN_IF_ERROR(CheckSpacesForm(data));
  TANDEM_RETURN_IF_ERROR(CheckMarkIsToken(data));
  TANDEM_RETURN_IF_ERROR(CheckSinglePrecision(data));
  return CheckScoresOfOthers(data);
}

}  // namespace

Status CheckGgufForm(const TokenizerData& data) {
  switch (data.model) {
    case TokenizerModel::kByteLevelBpe:
      return CheckByteLevelForm(data);
    case TokenizerModel::kSentencePieceBpe:
      return CheckSentencePieceForm(data);
    case TokenizerModel::kUnigram:
      break;
  }
  return CheckUnigramForm(data);
}

}  // namespace tandem
