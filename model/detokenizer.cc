#include "model/detokenizer.h"

#include <utility>

#include "model/utf8.h"

namespace tandem {

Detokenizer::Detokenizer(Tokenizer tokenizer, bool with_special)
    : tokenizer_(std::move(tokenizer)), with_special_(with_special) {}

std::string Detokenizer::Push(int32_t id) {
  std::string_view bytes = tokenizer_.TokenText(id, with_special_);
  if (at_start_ && !bytes.empty()) {
    at_start_ = false;
    const bool has_prefix =
        tokenizer_.data().space_prefix != SpacePrefix::kNone;
    if (has_prefix && bytes.starts_with(' ')) bytes.remove_prefix(1);
  }
  pending_ += bytes;
  const size_t complete = CompleteUtf8Bytes(pending_);
  std::string text =
      ReplaceInvalidUtf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string Detokenizer::Finish() {
  at_start_ = true;
  return ReplaceInvalidUtf8(std::exchange(pending_, {}));
}

}  // namespace tandem
