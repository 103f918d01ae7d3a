#include "model/choice_task.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/gzip_file.h"
#include "model/json_fields.h"

namespace tandem {
namespace {

using nlohmann::json;

constexpr int64_t kMaxTaskBytes = int64_t{1} << 30;
// From here on, the same choices without the question.
constexpr int64_t kFirstUnconditionalId = 1'000'000;
constexpr int64_t kMaxItemId = int64_t{1} << 40;
constexpr int64_t kMaxChoices = 1024;
constexpr std::string_view kSpaces = " \t\n\v\f\r";

struct ChoiceRequest {
  std::string task;
  int64_t id = 0, index = 0, gold = 0;
  Choice choice;
};

StatusOr<std::string> RequiredText(const json& object,
                                   const std::string& name) {
  if (!HasField(object, name)) return InvalidArgument("no '{}'", name);
  return TextField(object, name, "");
}

Status CheckIsChoice(const json& object) {
  TANDEM_ASSIGN_OR_RETURN(const std::string type,
                          RequiredText(object, "request_type"));
  if (type != "loglikelihood") {
    return InvalidArgument(
        "not a multiple-choice task: request_type is '{}', expected "
        "'loglikelihood'",
        type);
  }
  const json label = object.value("label", json());
  if (!label.is_number_integer()) {
    return InvalidArgument(
        "not a multiple-choice task: label is {}, expected the index of the "
        "right choice",
        Shown(label));
  }
  return OkStatus();
}

StatusOr<ChoiceRequest> ParseRequest(std::string_view line) {
  TANDEM_ASSIGN_OR_RETURN(const json object, ParseJsonObject(line));
  TANDEM_RETURN_IF_ERROR(CheckIsChoice(object));
  const json inner = object.value("request", json());
  if (!inner.is_object()) return InvalidArgument("no object 'request'");
  ChoiceRequest request;
  TANDEM_ASSIGN_OR_RETURN(request.task, RequiredText(object, "task_name"));
  TANDEM_ASSIGN_OR_RETURN(request.id,
                          IntegerField(object, "doc_id", 0, kMaxItemId));
  TANDEM_ASSIGN_OR_RETURN(request.index,
                          IntegerField(object, "idx", 0, kMaxChoices - 1));
  TANDEM_ASSIGN_OR_RETURN(request.gold,
                          IntegerField(object, "label", 0, kMaxChoices - 1));
  TANDEM_ASSIGN_OR_RETURN(request.choice.context,
                          RequiredText(inner, "context"));
  TANDEM_ASSIGN_OR_RETURN(request.choice.continuation,
                          RequiredText(inner, "continuation"));
  return request;
}

// An item with all its choices.
Status CheckItem(const ChoiceItem& item) {
  const int64_t choices = static_cast<int64_t>(item.choices.size());
  if (choices < 2) {
    return InvalidArgument(
        "not a multiple-choice task: item {} has {} choice, expected two or "
        "more",
        item.id, choices);
  }
  if (item.gold >= choices) {
    return InvalidArgument("label of item {} is {}, but it has {} choices",
                           item.id, item.gold, choices);
  }
  if (item.choices[item.gold].continuation.empty()) {
    return InvalidArgument(
        "the right choice of item {} is empty: it has no bits per byte",
        item.id);
  }
  return OkStatus();
}

Status AddRequest(ChoiceRequest request, ChoiceTask& task) {
  if (task.items.empty()) task.name = request.task;
  if (task.items.empty() || task.items.back().id != request.id) {
    if (!task.items.empty())
      TANDEM_RETURN_IF_ERROR(CheckItem(task.items.back()));
    task.items.push_back({request.id, {}, request.gold});
  }
  ChoiceItem& item = task.items.back();
  const int64_t expected = static_cast<int64_t>(item.choices.size());
  if (request.index != expected) {
    return InvalidArgument("idx is {}, expected {}", request.index, expected);
  }
  item.choices.push_back(std::move(request.choice));
  return OkStatus();
}

// Stops once there is an item too many, and takes it off again.
Status AddLine(std::string_view line, ChoiceTask& task) {
  TANDEM_ASSIGN_OR_RETURN(ChoiceRequest request, ParseRequest(line));
  if (request.id >= kFirstUnconditionalId) return OkStatus();
  return AddRequest(std::move(request), task);
}

bool HasTooMany(const ChoiceTask& task, int64_t max_items) {
  return max_items > 0 && static_cast<int64_t>(task.items.size()) > max_items;
}

std::string_view TakeLine(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

}  // namespace

StatusOr<ChoiceTask> ReadChoiceTask(const std::filesystem::path& path,
                                    int64_t max_items) {
  TANDEM_ASSIGN_OR_RETURN(const std::string text,
                          ReadGzipFile(path, kMaxTaskBytes));
  ChoiceTask task;
  std::string_view rest = text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = TakeLine(rest);
    if (line.find_first_not_of(kSpaces) == std::string_view::npos) continue;
    TANDEM_RETURN_IF_ERROR(Annotate(
        AddLine(line, task), fmt::format("{}:{}", path.string(), number)));
    if (!HasTooMany(task, max_items)) continue;
    task.items.pop_back();
    return task;
  }
  if (task.items.empty()) {
    return InvalidArgument("{} holds no requests", path.string());
  }
  TANDEM_RETURN_IF_ERROR(Annotate(CheckItem(task.items.back()), path.string()));
  return task;
}

StatusOr<TokenizedChoice> TokenizeChoice(const Tokenizer& tokenizer,
                                         const Choice& choice,
                                         int64_t max_tokens) {
  const size_t end = choice.context.find_last_not_of(kSpaces);
  const std::string context =
      choice.context.substr(0, end == std::string::npos ? 0 : end + 1);
  TokenizedChoice result;
  result.tokens = tokenizer.Encode(choice.context + choice.continuation);
  result.first_target = static_cast<int64_t>(tokenizer.Encode(context).size());
  if (result.first_target == 0 && tokenizer.end_of_text_id()) {
    result.tokens.insert(result.tokens.begin(), *tokenizer.end_of_text_id());
    result.first_target = 1;
  }
  const int64_t surplus =
      std::max<int64_t>(0, std::ssize(result.tokens) - max_tokens);
  result.tokens.erase(result.tokens.begin(), result.tokens.begin() + surplus);
  result.first_target = std::max<int64_t>(1, result.first_target - surplus);
  if (result.first_target >= std::ssize(result.tokens)) {
    return InvalidArgument("the continuation '{}' adds no token to its context",
                           choice.continuation);
  }
  return result;
}

}  // namespace tandem
