#include "model/tokenizer.h"

#include <array>
#include <limits>
#include <unordered_map>

#include "model/added_tokens.h"
#include "model/byte_alphabet.h"
#include "model/byte_pair_merges.h"
#include "model/pre_tokenizer.h"
#include "model/utf8.h"

namespace tandem {
namespace {

using IdByText = std::unordered_map<std::string_view, int32_t>;

Status CheckSizes(const TokenizerData& data) {
  const size_t size = data.tokens.size();
  if (size == 0 || size > std::numeric_limits<int32_t>::max()) {
    return InvalidArgument("a tokenizer of {} tokens", size);
  }
  if (data.types.size() != size) {
    return InvalidArgument("tokenizer has {} tokens but {} token types", size,
                           data.types.size());
  }
  return OkStatus();
}

Status CheckId(const TokenizerData& data, std::string_view name,
               std::optional<int32_t> id) {
  const auto size = static_cast<int64_t>(data.tokens.size());
  if (!id || (*id >= 0 && *id < size)) return OkStatus();
  return InvalidArgument("tokenizer's {} is {}, expected 0 to {}", name, *id,
                         size - 1);
}

Status CheckIds(const TokenizerData& data) {
  TANDEM_RETURN_IF_ERROR(CheckId(data, "bos_id", data.bos_id));
  TANDEM_RETURN_IF_ERROR(CheckId(data, "eos_id", data.eos_id));
  TANDEM_RETURN_IF_ERROR(CheckId(data, "unknown_id", data.unknown_id));
  return CheckId(data, "padding_id", data.padding_id);
}

// Views into data.tokens.
StatusOr<IdByText> IndexTokens(const TokenizerData& data) {
  IdByText ids;
  ids.reserve(data.tokens.size());
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    const std::string& text = data.tokens[id];
    if (text.empty()) return InvalidArgument("token {} is empty", id);
    const auto [other, is_new] = ids.emplace(text, static_cast<int32_t>(id));
    if (!is_new) {
      return InvalidArgument("tokens {} and {} are both '{}'", other->second,
                             id, text);
    }
  }
  return ids;
}

StatusOr<BytePairMerges> ReadMerges(const TokenizerData& data,
                                    const IdByText& ids) {
  BytePairMerges merges;
  for (size_t rank = 0; rank < data.merges.size(); ++rank) {
    const std::string_view merge = data.merges[rank];
    const size_t space = merge.find(' ');
    if (space == std::string_view::npos) {
      return InvalidArgument(
          "merge {} is '{}', expected two tokens and a space", rank, merge);
    }
    const std::string_view left = merge.substr(0, space);
    const std::string_view right = merge.substr(space + 1);
    const std::string merged = std::string(left) + std::string(right);
    for (std::string_view token : {left, right, std::string_view(merged)}) {
      if (ids.contains(token)) continue;
      return InvalidArgument("merge {} is '{}', but '{}' is no token", rank,
                             merge, token);
    }
    merges.Add(ids.at(left), ids.at(right), ids.at(merged));
  }
  return merges;
}

std::array<int32_t, 256> IndexBytes(const IdByText& ids) {
  std::array<int32_t, 256> id_of_byte;
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = ids.find(PrintableByte(byte));
    id_of_byte[byte] = found == ids.end() ? kNoToken : found->second;
  }
  return id_of_byte;
}

bool IsPlainText(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined;
}

// What each id decodes to.
std::vector<std::string> TokenBytes(const TokenizerData& data) {
  std::vector<std::string> bytes;
  bytes.reserve(data.tokens.size());
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    const std::string& text = data.tokens[id];
    bytes.push_back(IsPlainText(data.types[id])
                        ? text
                        : BytesFromPrintable(text).value_or(text));
  }
  return bytes;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerData d) : data(std::move(d)), chat_format(data) {}

  TokenizerData data;
  ChatFormat chat_format;
  PreTokenizer pre_tokenizer;
  BytePairMerges merges;
  std::array<int32_t, 256> id_of_byte;  // kNoToken where there is none
  std::vector<std::string> bytes;       // by id
  AddedTokens user_defined;
  AddedTokens with_control;  // user-defined tokens and control tokens
  std::unordered_map<std::string, int32_t> control;

  void AddTokens();
  // Appends the ids of text without added tokens. REQUIRES: valid UTF-8.
  void EncodeText(std::string_view text, std::vector<int32_t>* ids) const;
};

void Tokenizer::Impl::AddTokens() {
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    if (!IsPlainText(data.types[i])) continue;
    const auto id = static_cast<int32_t>(i);
    with_control.Add(data.tokens[i], id);
    if (data.types[i] == TokenType::kControl) {
      control.emplace(data.tokens[i], id);
    } else {
      user_defined.Add(data.tokens[i], id);
    }
  }
}

void Tokenizer::Impl::EncodeText(std::string_view text,
                                 std::vector<int32_t>* ids) const {
  std::vector<int32_t> symbols;
  for (std::string_view piece : pre_tokenizer.Split(text)) {
    symbols.clear();
    for (unsigned char byte : piece) symbols.push_back(id_of_byte[byte]);
    merges.Apply(&symbols);
    for (int32_t id : symbols) {
      if (id != kNoToken) ids->push_back(id);
    }
  }
}

StatusOr<Tokenizer> Tokenizer::Create(TokenizerData data) {
  TANDEM_RETURN_IF_ERROR(CheckSizes(data));
  TANDEM_RETURN_IF_ERROR(CheckIds(data));
  auto impl = std::make_shared<Impl>(std::move(data));
  TANDEM_ASSIGN_OR_RETURN(impl->pre_tokenizer,
                          PreTokenizer::Create(impl->data.pre_tokenizer));
  TANDEM_ASSIGN_OR_RETURN(const IdByText ids, IndexTokens(impl->data));
  TANDEM_ASSIGN_OR_RETURN(impl->merges, ReadMerges(impl->data, ids));
  impl->id_of_byte = IndexBytes(ids);
  impl->bytes = TokenBytes(impl->data);
  impl->AddTokens();
  Tokenizer tokenizer;
  tokenizer.impl_ = std::move(impl);
  return tokenizer;
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text,
                                       bool parse_special) const {
  const std::string valid = ReplaceInvalidUtf8(text);
  std::vector<int32_t> ids;
  const AddedTokens& added =
      parse_special ? impl_->with_control : impl_->user_defined;
  added.Split(
      valid, [&](std::string_view part) { impl_->EncodeText(part, &ids); },
      [&](int32_t id) { ids.push_back(id); });
  return ids;
}

std::string Tokenizer::Decode(const std::vector<int32_t>& ids,
                              bool with_special) const {
  std::string text;
  for (int32_t id : ids) {
    if (id < 0 || id >= vocabulary_size()) continue;
    const bool is_control = impl_->data.types[id] == TokenType::kControl;
    if (is_control && !with_special) continue;
    text += impl_->bytes[id];
  }
  return text;
}

int64_t Tokenizer::vocabulary_size() const {
  return static_cast<int64_t>(impl_->data.tokens.size());
}

const TokenizerData& Tokenizer::data() const { return impl_->data; }

const ChatFormat& Tokenizer::chat_format() const { return impl_->chat_format; }

std::optional<int32_t> Tokenizer::ControlToken(std::string_view text) const {
  const auto found = impl_->control.find(std::string(text));
  if (found == impl_->control.end()) return std::nullopt;
  return found->second;
}

std::optional<int32_t> Tokenizer::end_of_text_id() const {
  const std::optional<int32_t> id = ControlToken("<|endoftext|>");
  return id ? id : impl_->data.eos_id;
}

bool Tokenizer::IsEndOfReply(int32_t id) const {
  return id == impl_->data.eos_id || id == end_of_text_id() ||
         id == ControlToken("<|im_end|>");
}

}  // namespace tandem
