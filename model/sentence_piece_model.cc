#include "model/sentence_piece_model.h"

#include <algorithm>
#include <limits>

#include "model/byte_token.h"
#include "model/sentence_piece_model.pb.h"
#include "model/utf8.h"

namespace tandem {
namespace {

constexpr int kUnigramModel = 1;
constexpr int kBpeModel = 2;
constexpr int kMaxPieces = 1 << 24;

Status CheckUnset(bool option, const char* name) {
  if (!option) return OkStatus();
  return InvalidArgument("{} = true is not supported", name);
}

Status CheckNoRules(const sentence_piece::NormalizerSpec& spec,
                    const char* name) {
  if (spec.precompiled_charsmap().empty()) return OkStatus();
  return InvalidArgument(
      "{}.precompiled_charsmap has {} bytes, only models that were trained "
      "with normalization_rule_name=identity are supported",
      name, spec.precompiled_charsmap().size());
}

// How text is prepared.
Status ReadNormalizer(const sentence_piece::Model& model, TokenizerData& data) {
  const sentence_piece::NormalizerSpec& spec = model.normalizer_spec();
  TANDEM_RETURN_IF_ERROR(CheckNoRules(spec, "normalizer_spec"));
  TANDEM_RETURN_IF_ERROR(
      CheckNoRules(model.denormalizer_spec(), "denormalizer_spec"));
  TANDEM_RETURN_IF_ERROR(
      CheckUnset(model.trainer_spec().treat_whitespace_as_suffix(),
                 "trainer_spec.treat_whitespace_as_suffix"));
  if (!spec.escape_whitespaces()) {
    return InvalidArgument(
        "normalizer_spec.escape_whitespaces = false is not supported");
  }
  data.space_prefix =
      spec.add_dummy_prefix() ? SpacePrefix::kEveryPart : SpacePrefix::kNone;
  data.collapse_spaces = spec.remove_extra_whitespaces();
  return OkStatus();
}

Status ReadTrainer(const sentence_piece::TrainerSpec& spec,
                   TokenizerData& data) {
  if (spec.model_type() != kUnigramModel && spec.model_type() != kBpeModel) {
    return InvalidArgument(
        "trainer_spec.model_type is {}, only 1 (unigram) and 2 (bpe) are "
        "supported",
        spec.model_type());
  }
  data.model = spec.model_type() == kBpeModel
                   ? TokenizerModel::kSentencePieceBpe
                   : TokenizerModel::kUnigram;
  data.byte_fallback = spec.byte_fallback();
  data.as_sentence_piece = true;
  return OkStatus();
}

bool IsUtf8(std::string_view text) {
  std::string ignored;
  return AsValidUtf8(text, &ignored).data() == text.data();
}

Status CheckText(int id, const std::string& text) {
  if (text.empty()) return InvalidArgument("piece {} is empty", id);
  if (!IsUtf8(text)) return InvalidArgument("piece {} is not UTF-8", id);
  return OkStatus();
}

Status CheckType(int id, const sentence_piece::Piece& piece,
                 const TokenizerData& data) {
  const auto type = static_cast<TokenType>(piece.type());
  if (type < TokenType::kNormal || type > TokenType::kByte) {
    return InvalidArgument("piece {} has the type {}, expected 1 to 6", id,
                           piece.type());
  }
  if (type == TokenType::kByte && !ByteOfToken(piece.piece())) {
    return InvalidArgument("piece {} is a byte but reads '{}'", id,
                           piece.piece());
  }
  // They take part in merges and are taken apart again.
  if (type == TokenType::kUnused &&
      data.model == TokenizerModel::kSentencePieceBpe) {
    return InvalidArgument("piece {}, '{}', is unused: not supported in a bpe",
                           id, piece.piece());
  }
  return OkStatus();
}

Status AddPiece(const sentence_piece::Piece& piece, TokenizerData& data) {
  const auto id = static_cast<int32_t>(data.tokens.size());
  TANDEM_RETURN_IF_ERROR(CheckText(id, piece.piece()));
  TANDEM_RETURN_IF_ERROR(CheckType(id, piece, data));
  data.tokens.push_back(piece.piece());
  data.types.push_back(static_cast<TokenType>(piece.type()));
  data.scores.push_back(piece.score());
  if (data.types.back() != TokenType::kUnknown) return OkStatus();
  if (data.unknown_id) {
    return InvalidArgument("pieces {} and {} are both the unknown one",
                           *data.unknown_id, id);
  }
  data.unknown_id = id;
  return OkStatus();
}

// As SentencePiece wants it: all bytes have a piece, or none has.
Status CheckBytes(const TokenizerData& data) {
  const auto found =
      std::count(data.types.begin(), data.types.end(), TokenType::kByte);
  const int expected = data.byte_fallback ? 256 : 0;
  if (found == expected) return OkStatus();
  return InvalidArgument(
      "{} pieces are bytes, expected {} with trainer_spec.byte_fallback = {}",
      found, expected, data.byte_fallback);
}

Status ReadPieces(const sentence_piece::Model& model, TokenizerData& data) {
  if (model.pieces_size() == 0 || model.pieces_size() > kMaxPieces) {
    return InvalidArgument("a model of {} pieces, expected 1 to {}",
                           model.pieces_size(), kMaxPieces);
  }
  for (const sentence_piece::Piece& piece : model.pieces()) {
    TANDEM_RETURN_IF_ERROR(AddPiece(piece, data));
  }
  if (!data.unknown_id) {
    return InvalidArgument("none of {} pieces is the unknown one",
                           model.pieces_size());
  }
  return CheckBytes(data);
}

// SentencePiece, too, goes by the text and not by the id that training had.
std::optional<int32_t> ControlPiece(const TokenizerData& data,
                                    std::string_view text) {
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.types[id] == TokenType::kControl && data.tokens[id] == text) {
      return static_cast<int32_t>(id);
    }
  }
  return std::nullopt;
}

}  // namespace

StatusOr<TokenizerData> ParseSentencePieceModel(std::string_view bytes) {
  sentence_piece::Model model;
  if (bytes.size() > std::numeric_limits<int>::max() ||
      !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return InvalidArgument("{} bytes that are no SentencePiece model",
                           bytes.size());
  }
  // The pieces come first in a file: without these it ends early.
  if (!model.has_trainer_spec() || !model.has_normalizer_spec()) {
    return InvalidArgument("a model without trainer_spec or normalizer_spec");
  }
  const sentence_piece::TrainerSpec& trainer = model.trainer_spec();
  TokenizerData data;
  TANDEM_RETURN_IF_ERROR(ReadTrainer(trainer, data));
  TANDEM_RETURN_IF_ERROR(ReadNormalizer(model, data));
  TANDEM_RETURN_IF_ERROR(ReadPieces(model, data));
  data.bos_id = ControlPiece(data, trainer.bos_piece());
  data.eos_id = ControlPiece(data, trainer.eos_piece());
  data.padding_id = ControlPiece(data, trainer.pad_piece());
  data.add_bos = data.bos_id.has_value();
  return data;
}

}  // namespace tandem
