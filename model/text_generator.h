// Replies as text: Generate() with a tokenizer around it.
#ifndef TANDEM_MODEL_TEXT_GENERATOR_H_
#define TANDEM_MODEL_TEXT_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/decoder.h"
#include "model/sampler.h"
#include "model/tokenizer.h"

namespace tandem {

struct TextOptions {
  int64_t max_new_tokens = 128;
  SamplingOptions sampling = {};
  // A reply ends before the first of these that appears in it, which may begin
  // and end inside a token.
  std::vector<std::string> stop_strings = {};
  // Sees the bytes of each reply as they become certain, a character perhaps in
  // several pieces. May be empty.
  std::function<void(size_t reply, std::string_view bytes)> on_text = {};
};

enum class ReplyEnd { kEndOfReply, kStopString, kLength };

struct Reply {
  std::string text;             // without the stop string
  std::vector<int32_t> tokens;  // with those that spell the stop string
  ReplyEnd end = ReplyEnd::kLength;
};

// A reply to each prompt, in their order. Throws what Generate throws.
std::vector<Reply> GenerateText(
    const Decoder& model, const Adapter* adapter, const Tokenizer& tokenizer,
    const std::vector<std::vector<int32_t>>& prompts,
    const TextOptions& options);

}  // namespace tandem

#endif  // TANDEM_MODEL_TEXT_GENERATOR_H_
