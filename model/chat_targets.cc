#include "model/chat_targets.h"

#include <algorithm>
#include <optional>
#include <string>

namespace tandem {
namespace {

using jinja::Text;

// The spans of runs that `matches`; neighbours become one.
template <typename Matches>
std::vector<ByteSpan> SpansWhere(const Text& text, Matches matches) {
  std::vector<ByteSpan> spans;
  size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    if (matches(run.origin)) {
      if (!spans.empty() && spans.back().end == begin) {
        spans.back().end = run.end;
      } else {
        spans.push_back({begin, run.end});
      }
    }
    begin = run.end;
  }
  return spans;
}

std::vector<ByteSpan> TemplateSpans(const Text& text) {
  return SpansWhere(
      text, [](const jinja::Origin& origin) { return origin.source == 0; });
}

// From the first to the last byte of each message's content; nothing for
// contents that are not there.
StatusOr<std::vector<std::optional<ByteSpan>>> ContentSpans(const Text& text,
                                                            size_t messages) {
  std::vector<std::optional<ByteSpan>> spans(messages);
  size_t begin = 0;
  int32_t last_source = 0;
  for (const Text::Run& run : text.runs()) {
    const int32_t source = run.origin.source;
    if (source > 0) {
      std::optional<ByteSpan>& span = spans[static_cast<size_t>(source - 1)];
      if (!span) {
        span = ByteSpan{begin, run.end};
      } else if (last_source != source) {
        return InvalidArgument(
            "the chat template writes messages[{}] in pieces between others, "
            "so what to learn is unclear",
            source - 1);
      }
      span->end = run.end;
      last_source = source;
    }
    begin = run.end;
  }
  return spans;
}

// Finds where replies begin and end, in their order.
class ReplyFinder {
 public:
  ReplyFinder(const Text& text, std::string_view prompt,
              const std::vector<ControlTokenAt>& control_tokens)
      : bytes_(text.bytes()),
        template_spans_(TemplateSpans(text)),
        prompt_(prompt),
        control_tokens_(control_tokens) {}

  // Passes a message that is no reply.
  void Skip(const ByteSpan& content) { at_ = std::max(at_, content.end); }

  // A reply, whose content, if there is any, is here; the next content begins
  // at `limit`. Nothing where an empty reply cannot be found.
  StatusOr<std::optional<ByteSpan>> Find(const std::optional<ByteSpan>& content,
                                         size_t limit) {
    if (content && content->begin < at_) {
      return InvalidArgument(
          "the chat template writes a reply before what precedes it");
    }
    ByteSpan reply;
    if (content) {
      reply = {PromptEnd(at_, content->begin, /*last=*/true)
                   .value_or(content->begin),
               content->end};
    } else {
      const auto begin = PromptEnd(at_, limit, /*last=*/false);
      if (!begin) return std::nullopt;
      reply = {*begin, *begin};
    }
    reply.end = EndOfTurn(reply.end, limit);
    at_ = reply.end;
    return reply;
  }

 private:
  bool IsTemplate(size_t begin, size_t end) const {
    return std::any_of(template_spans_.begin(), template_spans_.end(),
                       [&](const ByteSpan& span) {
                         return span.begin <= begin && end <= span.end;
                       });
  }

  // Where the first or last prompt between `begin` and `end` ends.
  std::optional<size_t> PromptEnd(size_t begin, size_t end, bool last) const {
    std::optional<size_t> found;
    if (prompt_.empty()) return found;
    const std::string_view before = bytes_.substr(0, end);
    for (size_t at = before.find(prompt_, begin);
         at != std::string_view::npos && (last || !found);
         at = before.find(prompt_, at + 1)) {
      if (IsTemplate(at, at + prompt_.size())) found = at + prompt_.size();
    }
    return found;
  }

  size_t EndOfTurn(size_t content_end, size_t limit) const {
    const auto next = std::lower_bound(
        control_tokens_.begin(), control_tokens_.end(), content_end,
        [](const ControlTokenAt& token, size_t at) {
          return token.bytes.begin < at;
        });
    const bool found =
        next != control_tokens_.end() && next->bytes.end <= limit;
    return found ? next->bytes.end : content_end;
  }

  std::string_view bytes_;
  std::vector<ByteSpan> template_spans_;
  std::string_view prompt_;
  const std::vector<ControlTokenAt>& control_tokens_;
  size_t at_ = 0;  // the end of what was found last
};

}  // namespace

std::vector<ControlTokenAt> FindControlTokens(const Text& text,
                                              const ChatFormat& format,
                                              const TokenizerData& data) {
  std::vector<ControlTokenAt> found;
  const std::string_view bytes = text.bytes();
  for (const ByteSpan& span : TemplateSpans(text)) {
    size_t at = span.begin;
    format.control_tokens().Split(
        bytes.substr(span.begin, span.end - span.begin),
        [&](std::string_view between) { at += between.size(); },
        [&](int32_t id) {
          const size_t size = data.tokens[static_cast<size_t>(id)].size();
          found.push_back({{at, at + size}, id});
          at += size;
        });
  }
  return found;
}

StatusOr<std::vector<ByteSpan>> ReplySpans(
    const std::vector<ChatMessage>& messages, const Text& text,
    std::string_view generation_prompt,
    const std::vector<ControlTokenAt>& control_tokens) {
  std::vector<ByteSpan> replies =
      SpansWhere(text, [](const jinja::Origin& o) { return o.is_generated; });
  if (!replies.empty()) return replies;
  TANDEM_ASSIGN_OR_RETURN(const auto contents,
                          ContentSpans(text, messages.size()));
  ReplyFinder finder(text, generation_prompt, control_tokens);
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") {
      if (contents[i]) finder.Skip(*contents[i]);
      continue;
    }
    const auto next = std::find_if(
        contents.begin() + static_cast<std::ptrdiff_t>(i) + 1, contents.end(),
        [](const auto& content) { return content.has_value(); });
    const size_t limit = next == contents.end() ? text.size() : (*next)->begin;
    TANDEM_ASSIGN_OR_RETURN(const auto reply, finder.Find(contents[i], limit));
    if (reply) replies.push_back(*reply);
  }
  return replies;
}

}  // namespace tandem
