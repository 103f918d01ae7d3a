#include "model/text_generator.h"

#include <utility>

#include "model/detokenizer.h"
#include "model/generator.h"
#include "model/stop_strings.h"

namespace tandem {

std::vector<Reply> GenerateText(
    const Decoder& model, const Adapter* adapter, const Tokenizer& tokenizer,
    const std::vector<std::vector<int32_t>>& prompts,
    const TextOptions& options) {
  std::vector<Reply> replies(prompts.size());
  std::vector<StopStrings> stops(prompts.size(),
                                 StopStrings(options.stop_strings));
  std::vector<Detokenizer> texts(prompts.size(), Detokenizer(tokenizer));
  const auto add = [&](size_t reply, const std::string& text) {
    replies[reply].text += text;
    if (options.on_text && !text.empty()) options.on_text(reply, text);
  };
  GenerationOptions generation{
      options.max_new_tokens, options.sampling, {}, {}};
  generation.ends = [&](int32_t id) { return tokenizer.IsEndOfReply(id); };
  generation.on_token = [&](size_t reply, int32_t id) {
    add(reply, stops[reply].Push(texts[reply].Push(id)));
    return !stops[reply].stopped();
  };
  auto tokens = Generate(model, adapter, prompts, generation);
  const int64_t context = model.config().context_length;
  for (size_t i = 0; i < replies.size(); ++i) {
    if (!stops[i].stopped()) add(i, stops[i].Push(texts[i].Finish()));
    add(i, stops[i].Flush());
    const auto count = static_cast<int64_t>(tokens[i].size());
    const auto room = context - static_cast<int64_t>(prompts[i].size()) + 1;
    if (stops[i].stopped()) {
      replies[i].end = ReplyEnd::kStopString;
    } else if (count < options.max_new_tokens && count < room) {
      replies[i].end = ReplyEnd::kEndOfReply;
    }
    replies[i].tokens = std::move(tokens[i]);
  }
  return replies;
}

}  // namespace tandem
