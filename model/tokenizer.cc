#include "model/tokenizer.h"

#include <cmath>
#include <limits>
#include <mutex>
#include <stdexcept>

#include "model/added_tokens.h"
#include "model/text_encoder.h"
#include "model/token_index.h"
#include "model/token_texts.h"
#include "model/utf8.h"

namespace tandem {
namespace {

constexpr const char* kEndsOfTurn[] = {"<|im_end|>", "<|eot_id|>",
                                       "<end_of_turn>"};

Status CheckSizes(const TokenizerData& data) {
  const size_t size = data.tokens.size();
  if (size == 0 || size > std::numeric_limits<int32_t>::max()) {
    return InvalidArgument("a tokenizer of {} tokens", size);
  }
  if (data.types.size() != size) {
    return InvalidArgument("tokenizer has {} tokens but {} token types", size,
                           data.types.size());
  }
  if (!data.scores.empty() && data.scores.size() != size) {
    return InvalidArgument("tokenizer has {} tokens but {} scores", size,
                           data.scores.size());
  }
  for (size_t id = 0; id < data.scores.size(); ++id) {
    if (std::isfinite(data.scores[id])) continue;
    return InvalidArgument("token {} has the score {}", id, data.scores[id]);
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

StatusOr<std::unique_ptr<TextEncoder>> MakeEncoder(const TokenizerData& data,
                                                   const TokenIndex& index) {
  switch (data.model) {
    case TokenizerModel::kSentencePieceBpe:
      return MakeSentencePieceEncoder(data, index);
    case TokenizerModel::kUnigram:
      return MakeUnigramEncoder(data, index);
    case TokenizerModel::kByteLevelBpe:
      break;
  }
  return MakeByteLevelEncoder(data, index);
}

}  // namespace

// Lends scratches, so that threads share none and their word caches live on.
class ScratchPool {
 public:
  std::unique_ptr<EncoderScratch> Take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<EncoderScratch>();
    std::unique_ptr<EncoderScratch> scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void Return(std::unique_ptr<EncoderScratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<EncoderScratch>> free_;
};

struct Tokenizer::Impl {
  explicit Impl(TokenizerData d) : data(std::move(d)), chat_format(data) {}

  TokenizerData data;
  ChatFormat chat_format;
  TokenIndex index;
  std::unique_ptr<TextEncoder> encoder;
  TokenTexts texts;
  AddedTokens user_defined;
  AddedTokens with_control;  // user-defined tokens and control tokens
  mutable ScratchPool scratches;

  void AddTokens();
};

void Tokenizer::Impl::AddTokens() {
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    if (!IsAddedToken(data.types[i])) continue;
    const auto id = static_cast<int32_t>(i);
    // Those are the encoder's.
    if (!IsControlToken(data.types[i]) && data.as_sentence_piece) continue;
    with_control.Add(data.tokens[i], id);
    if (!IsControlToken(data.types[i])) user_defined.Add(data.tokens[i], id);
  }
}

StatusOr<Tokenizer> Tokenizer::Create(TokenizerData data) {
  TANDEM_RETURN_IF_ERROR(CheckSizes(data));
  TANDEM_RETURN_IF_ERROR(CheckIds(data));
  auto impl = std::make_shared<Impl>(std::move(data));
  TANDEM_ASSIGN_OR_RETURN(impl->index, TokenIndex::Create(impl->data.tokens));
  TANDEM_ASSIGN_OR_RETURN(impl->encoder, MakeEncoder(impl->data, impl->index));
  impl->texts = TokenTexts(impl->data);
  impl->AddTokens();
  Tokenizer tokenizer;
  tokenizer.impl_ = std::move(impl);
  return tokenizer;
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text,
                                       bool parse_special) const {
  if (text.size() > std::numeric_limits<int32_t>::max() / 4) {
    throw std::length_error("a text of 512 MiB or more to encode");
  }
  std::string storage;
  const std::string_view valid = AsValidUtf8(text, &storage);
  std::unique_ptr<EncoderScratch> scratch = impl_->scratches.Take();
  std::vector<int32_t> ids;
  const AddedTokens& added =
      parse_special ? impl_->with_control : impl_->user_defined;
  added.Split(
      valid,
      [&](std::string_view part) {
        const bool is_first = part.data() == valid.data();
        impl_->encoder->Encode(part, is_first, *scratch, &ids);
      },
      [&](int32_t id) { ids.push_back(id); });
  impl_->scratches.Return(std::move(scratch));
  return ids;
}

std::string_view Tokenizer::TokenText(int32_t id, bool with_special) const {
  if (id < 0 || id >= vocabulary_size()) return {};
  if (!with_special && IsControlToken(impl_->data.types[id])) return {};
  return impl_->texts[id];
}

std::string Tokenizer::Decode(const std::vector<int32_t>& ids,
                              bool with_special) const {
  std::string text;
  for (int32_t id : ids) text += TokenText(id, with_special);
  const bool has_prefix = impl_->data.space_prefix != SpacePrefix::kNone;
  if (has_prefix && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

int64_t Tokenizer::vocabulary_size() const {
  return static_cast<int64_t>(impl_->data.tokens.size());
}

const TokenizerData& Tokenizer::data() const { return impl_->data; }

const ChatFormat& Tokenizer::chat_format() const { return impl_->chat_format; }

std::optional<int32_t> Tokenizer::ControlToken(std::string_view text) const {
  const int32_t id = impl_->index.Find(text);
  const bool found =
      id != kNoToken && impl_->data.types[id] == TokenType::kControl;
  return found ? std::optional(id) : std::nullopt;
}

std::optional<int32_t> Tokenizer::end_of_text_id() const {
  const std::optional<int32_t> id = ControlToken("<|endoftext|>");
  return id ? id : impl_->data.eos_id;
}

bool Tokenizer::IsEndOfReply(int32_t id) const {
  for (const char* text : kEndsOfTurn) {
    if (id == ControlToken(text)) return true;
  }
  return id == impl_->data.eos_id || id == end_of_text_id();
}

}  // namespace tandem
