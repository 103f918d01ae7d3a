#include "model/sentence_piece_text.h"

#include <algorithm>

#include "model/byte_token.h"
#include "model/unicode_normalization.h"

namespace tandem {
namespace {

bool WantsPrefix(SpacePrefix rule, std::string_view part, bool is_first) {
  if (part.empty()) return false;
  const bool has_space = part.starts_with(' ') || part.starts_with(kSpaceMark);
  switch (rule) {
    case SpacePrefix::kNone:
      return false;
    case SpacePrefix::kEveryPart:
      return true;
    case SpacePrefix::kEveryPartUnlessAllSpaces:
      return part.find_first_not_of(' ') != std::string_view::npos;
    case SpacePrefix::kEveryPartUnlessSpaceFirst:
      return !has_space;
    case SpacePrefix::kTextUnlessSpaceFirst:
      return is_first && !has_space;
  }
  return false;
}

int32_t IdOfByte(const TokenizerData& data, const TokenIndex& index,
                 unsigned char byte) {
  const int32_t id = index.Find(ByteTokenText(byte));
  return id != kNoToken && data.types[id] == TokenType::kByte ? id : kNoToken;
}

// Removes spaces at the front.
void SkipSpaces(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(' '), text->size()));
}

void SkipSpacesAtEnd(std::string_view* text) {
  text->remove_suffix(text->size() - 1 - text->find_last_not_of(' '));
}

// Removes marks that the text itself has at its end.
void DropMarksAtEnd(std::string* marked) {
  while (marked->ends_with(kSpaceMark)) {
    marked->resize(marked->size() - kSpaceMark.size());
  }
}

}  // namespace

void MarkSpaces(const TokenizerData& data, std::string_view part, bool is_first,
                std::string* storage, std::string* marked) {
  if (data.normalize_nfc) part = AsNfc(part, storage);
  if (data.collapse_spaces) {
    SkipSpaces(&part);
    SkipSpacesAtEnd(&part);
  }
  marked->clear();
  if (WantsPrefix(data.space_prefix, part, is_first)) *marked = kSpaceMark;
  while (!part.empty()) {
    const size_t space = std::min(part.find(' '), part.size());
    marked->append(part.substr(0, space));
    part.remove_prefix(space);
    if (part.empty()) break;
    marked->append(kSpaceMark);
    part.remove_prefix(1);
    if (data.collapse_spaces) SkipSpaces(&part);
  }
  if (data.collapse_spaces && data.as_sentence_piece) DropMarksAtEnd(marked);
}

std::string UnmarkSpaces(std::string_view token) {
  std::string text;
  text.reserve(token.size());
  for (size_t at = token.find(kSpaceMark); at != std::string_view::npos;
       at = token.find(kSpaceMark)) {
    text.append(token.substr(0, at)).push_back(' ');
    token.remove_prefix(at + kSpaceMark.size());
  }
  return text.append(token);
}

Status CheckHasOtherForm(const TokenizerData& data) {
  if (data.collapse_spaces) {
    return InvalidArgument(
        "a tokenizer that drops spaces (remove_extra_whitespaces) has no form "
        "but tokenizer.model or a GGUF's unigram");
  }
  const auto found =
      std::find(data.types.begin(), data.types.end(), TokenType::kUserDefined);
  if (!data.as_sentence_piece || found == data.types.end()) return OkStatus();
  return InvalidArgument(
      "token {} is user-defined as SentencePiece has it, which has no form but "
      "tokenizer.model",
      found - data.types.begin());
}

UnknownCharacters::UnknownCharacters(const TokenizerData& data,
                                     const TokenIndex& index)
    : unknown_(data.unknown_id.value_or(kNoToken)), fuse_(data.fuse_unknown) {
  for (int byte = 0; byte < 256; ++byte) {
    id_of_byte_[byte] =
        data.byte_fallback ? IdOfByte(data, index, byte) : kNoToken;
  }
}

void UnknownCharacters::Append(std::string_view text, size_t begin,
                               std::vector<int32_t>* ids) const {
  const auto id_of = [&](char byte) {
    return id_of_byte_[static_cast<unsigned char>(byte)];
  };
  const bool has_all = std::none_of(
      text.begin(), text.end(), [&](char c) { return id_of(c) == kNoToken; });
  if (has_all) {
    for (char byte : text) ids->push_back(id_of(byte));
    return;
  }
  if (unknown_ == kNoToken) return;
  const bool follows_one = ids->size() > begin && ids->back() == unknown_;
  if (!fuse_ || !follows_one) ids->push_back(unknown_);
}

}  // namespace tandem
