#include "model/gguf_tokenizer_form.h"

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
  return InvalidArgument("a unigram tokenizer has no GGUF form here");
}

}  // namespace tandem
