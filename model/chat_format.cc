#include "model/chat_format.h"

#include <array>
#include <utility>

#include "model/utf8.h"

namespace tandem {
namespace {

using jinja::Budget;
using jinja::Origin;
using jinja::Text;
using jinja::Value;

constexpr char kChatMl[] =
    R"({% for message in messages %}
{% if loop.first and message.role != 'system' %}
{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}
{%- endif %}
{{- '<|im_start|>' + message.role + '\n' }}
{%- if message.role == 'assistant' %}
{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration +%}
{%- else %}
{{- message.content + '<|im_end|>' }}
{%- endif %}
{{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\n' }}
{%- endif %})";

// A Qwen3 conversation of 100 turns takes less than 1% of this.
constexpr int64_t kBaseUnits = int64_t{1} << 25;
constexpr int64_t kUnitsPerByte = 256;

constexpr int32_t kStrangeRole = -1;

bool IsKnownRole(const std::string& role) {
  constexpr std::array kRoles = {"system", "user", "assistant"};
  for (const char* known : kRoles) {
    if (role == known) return true;
  }
  return false;
}

Budget BudgetFor(const std::vector<ChatMessage>& messages) {
  size_t bytes = 0;
  for (const ChatMessage& message : messages) bytes += message.content.size();
  return Budget(kBaseUnits + kUnitsPerByte * static_cast<int64_t>(bytes));
}

// [{"role", "content"}, ...]
StatusOr<Value> MessagesValue(const std::vector<ChatMessage>& messages,
                              Budget* budget) {
  std::vector<Value> list;
  list.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    const auto number = static_cast<int32_t>(list.size() + 1);
    const int32_t role_source = IsKnownRole(message.role) ? 0 : kStrangeRole;
    jinja::Dict dict;
    dict.Set(Text("role"), Text(ReplaceInvalidUtf8(message.role),
                                Origin{role_source, false}));
    dict.Set(Text("content"),
             Text(ReplaceInvalidUtf8(message.content), Origin{number, false}));
    TANDEM_ASSIGN_OR_RETURN(Value value,
                            jinja::MakeDict(std::move(dict), budget));
    list.push_back(std::move(value));
  }
  return jinja::MakeSequence(std::move(list), jinja::SequenceForm::kList,
                             budget);
}

// The names that transformers gives to a template.
std::vector<std::pair<std::string, std::string>> SpecialTokens(
    const TokenizerData& data) {
  std::vector<std::pair<std::string, std::string>> tokens;
  const auto add = [&](const char* name, std::optional<int32_t> id) {
    if (!id || *id < 0 || static_cast<size_t>(*id) >= data.tokens.size()) {
      return;
    }
    tokens.emplace_back(name, data.tokens[static_cast<size_t>(*id)]);
  };
  add("bos_token", data.bos_id);
  add("eos_token", data.eos_id);
  add("unk_token", data.unknown_id);
  add("pad_token", data.padding_id);
  return tokens;
}

AddedTokens ControlTokens(const TokenizerData& data) {
  AddedTokens control;
  for (size_t id = 0; id < data.types.size() && id < data.tokens.size(); ++id) {
    if (data.types[id] == TokenType::kControl && !data.tokens[id].empty()) {
      control.Add(data.tokens[id], static_cast<int32_t>(id));
    }
  }
  return control;
}

}  // namespace

ChatFormat::ChatFormat(const TokenizerData& data)
    : template_(
          data.chat_template.empty()
              ? jinja::Template::Parse(kChatMl, "built-in ChatML")
              : jinja::Template::Parse(data.chat_template, "chat template")),
      special_tokens_(SpecialTokens(data)),
      control_tokens_(ControlTokens(data)) {}

StatusOr<Text> ChatFormat::Render(const std::vector<ChatMessage>& messages,
                                  bool add_generation_prompt,
                                  TimePoint now) const {
  TANDEM_RETURN_IF_ERROR(template_.status());
  Budget budget = BudgetFor(messages);
  jinja::Variables variables;
  TANDEM_ASSIGN_OR_RETURN(variables["messages"],
                          MessagesValue(messages, &budget));
  variables["add_generation_prompt"] = add_generation_prompt;
  variables["tools"] = jinja::None{};
  variables["documents"] = jinja::None{};
  for (const auto& [name, token] : special_tokens_) {
    variables[name] = Text(token);
  }
  return template_->Render(variables, now, budget);
}

}  // namespace tandem
