#include "model/example_line.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "model/line_reader.h"

namespace tandem {
namespace {

using nlohmann::json;

constexpr char kExpected[] =
    R"(expected {"text"}, {"prompt", "completion"} or {"messages"})";

StatusOr<std::string> StringField(const json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end()) return InvalidArgument("'{}' is missing", name);
  if (!field->is_string()) {
    return InvalidArgument("'{}' is {}, expected a string", name,
                           field->type_name());
  }
  return field->get<std::string>();
}

StatusOr<ChatMessage> ParseMessage(const json& object) {
  if (!object.is_object()) {
    return InvalidArgument("a message is {}, expected an object",
                           object.type_name());
  }
  ChatMessage message;
  TANDEM_ASSIGN_OR_RETURN(message.role, StringField(object, "role"));
  TANDEM_ASSIGN_OR_RETURN(message.content, StringField(object, "content"));
  for (const char* known : {"system", "user", "assistant"}) {
    if (message.role == known) return message;
  }
  return InvalidArgument(
      "'role' is '{}', expected 'system', 'user' or 'assistant'", message.role);
}

StatusOr<std::vector<ChatMessage>> ParseMessages(const json& array) {
  if (!array.is_array() || array.empty()) {
    return InvalidArgument("'messages' is {}, expected a list of messages",
                           array.is_array() ? "empty" : array.type_name());
  }
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < array.size(); ++i) {
    StatusOr<ChatMessage> message = ParseMessage(array[i]);
    if (!message.ok()) {
      return Annotate(message.status(), fmt::format("messages[{}]", i));
    }
    messages.push_back(*std::move(message));
  }
  return messages;
}

StatusOr<Example> ParseExample(const json& object) {
  if (!object.is_object()) {
    return InvalidArgument("{}, got {}", kExpected, object.type_name());
  }
  const bool has_text = object.contains("text");
  const bool has_messages = object.contains("messages");
  const bool has_pair =
      object.contains("prompt") || object.contains("completion");
  if (has_text + has_messages + has_pair != 1) {
    return InvalidArgument("{}, got {} of them", kExpected,
                           has_text + has_messages + has_pair);
  }
  Example example;
  if (has_text) {
    TANDEM_ASSIGN_OR_RETURN(example.text, StringField(object, "text"));
  } else if (has_messages) {
    TANDEM_ASSIGN_OR_RETURN(example.messages,
                            ParseMessages(object["messages"]));
  } else {
    TANDEM_ASSIGN_OR_RETURN(std::string prompt, StringField(object, "prompt"));
    TANDEM_ASSIGN_OR_RETURN(std::string completion,
                            StringField(object, "completion"));
    example.messages = {{"user", std::move(prompt)},
                        {"assistant", std::move(completion)}};
  }
  return example;
}

}  // namespace

const char* ExpectedExample() { return kExpected; }

StatusOr<Example> ParseExampleLine(std::string_view line) {
  if (line.size() >= kMaxLineBytes) {
    return InvalidArgument("the line is longer than {} bytes", kMaxLineBytes);
  }
  const json object = json::parse(line.begin(), line.end(), nullptr,
                                  /*allow_exceptions=*/false);
  if (object.is_discarded()) {
    return InvalidArgument("not a JSON object in UTF-8; {}", kExpected);
  }
  return ParseExample(object);
}

}  // namespace tandem
