// The interpreter's calls: macros, methods, and the functions that transformers
// gives to every template.
#include <algorithm>
#include <array>
#include <ctime>

#include "model/jinja_attributes.h"
#include "model/jinja_format.h"
#include "model/jinja_interpreter.h"

namespace tandem::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;  // Jinja's sandbox has the same limit

constexpr std::array kBuiltins = {"range", "namespace", "raise_exception",
                                  "strftime_now"};
// What Jinja has and this subset lacks: not to be taken for undefined.
constexpr std::array kUnsupported = {"dict",   "lipsum", "cycler",
                                     "joiner", "self",   "super",
                                     "caller", "kwargs", "varargs"};

StatusOr<int64_t> Integer(const Value& value) {
  if (const auto integer = value.integer()) return *integer;
  return InvalidArgument("an argument is of type {}, expected an int",
                         value.TypeName());
}

// strftime() in the local time zone.
StatusOr<std::string> FormatTime(TimePoint time, const std::string& format) {
  if (format.empty()) return std::string();
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch())
          .count();
  std::tm parts = {};
  if (localtime_r(&seconds, &parts) == nullptr) {
    return InvalidArgument("the time is out of range");
  }
  char text[1024];
  const size_t size = std::strftime(text, sizeof(text), format.c_str(), &parts);
  if (size == 0) {
    return InvalidArgument("strftime_now: '{}' gives nothing or too much",
                           format.substr(0, 100));
  }
  return std::string(text, size);
}

}  // namespace

StatusOr<Value> Interpreter::FindBuiltin(const std::string& name) {
  for (const char* known : kBuiltins) {
    if (name == known) return Value(Builtin{known});
  }
  for (const char* unsupported : kUnsupported) {
    if (name == unsupported) {
      return InvalidArgument("'{}' is not supported", name);
    }
  }
  return Value(Undefined{name});
}

StatusOr<Value> Interpreter::EvaluateCall(const Expression& call) {
  const Expression& callee = *call.operands[0];
  const bool is_method = callee.kind == ExpressionKind::kAttribute;
  TANDEM_ASSIGN_OR_RETURN(Value called,
                          Evaluate(is_method ? *callee.operands[0] : callee));
  TANDEM_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(call));
  if (is_method && called.name_space() == nullptr) {
    return CallMethod(called, callee.name, arguments, &budget_);
  }
  if (called.macro()) return CallMacro(*called.macro(), arguments);
  if (called.builtin()) return CallBuiltin(called.builtin()->name, arguments);
  if (called.Is<Undefined>()) {
    return InvalidArgument("'{}' is undefined, so it cannot be called",
                           called.undefined()->name);
  }
  return InvalidArgument("a value of type {} cannot be called",
                         called.TypeName());
}

StatusOr<Value> Interpreter::CallMacro(const Macro& macro,
                                       const Arguments& arguments) {
  const std::shared_ptr<Scope> outside = macro.scope.lock();
  const std::string& name = macro.definition->target.names[0];
  if (outside == nullptr) {
    return InvalidArgument("macro '{}' has left the loop it was defined in",
                           name);
  }
  const std::vector<Parameter>& parameters = macro.definition->parameters;
  std::vector<std::string> names;
  names.reserve(parameters.size());
  for (const Parameter& parameter : parameters) names.push_back(parameter.name);
  StatusOr<std::vector<std::optional<Value>>> bound = arguments.Bind(names);
  if (!bound.ok()) {
    return Annotate(bound.status(), fmt::format("macro '{}'", name));
  }
  const auto scope = std::make_shared<Scope>(Scope{outside, {}});
  const std::shared_ptr<Scope> caller = std::exchange(scope_, scope);
  for (size_t i = 0; i < names.size(); ++i) {
    Value value = (*bound)[i].value_or(Undefined{names[i]});
    if (!(*bound)[i] && parameters[i].otherwise != nullptr) {
      TANDEM_ASSIGN_OR_RETURN(value, Evaluate(*parameters[i].otherwise));
    }
    scope->values[names[i]] = std::move(value);
  }
  StatusOr<Text> text = Capture(macro.definition->body);
  scope_ = caller;
  TANDEM_RETURN_IF_ERROR(text.status());
  return MakeText(*std::move(text), &budget_);
}

StatusOr<Value> Interpreter::CallBuiltin(std::string_view name,
                                         const Arguments& arguments) {
  if (name == "namespace") return MakeNamespace(arguments);
  if (name == "range") return MakeRange(arguments);
  if (name == "strftime_now") return FormatNow(arguments);
  TANDEM_ASSIGN_OR_RETURN(const auto bound, arguments.Bind({"message"}));
  TANDEM_ASSIGN_OR_RETURN(
      const Text message,
      ToText(bound[0].value_or(Text("raise_exception")), &budget_));
  return Status(StatusCode::kInvalidArgument, message.bytes());
}

StatusOr<Value> Interpreter::MakeNamespace(const Arguments& arguments) {
  if (!arguments.positional.empty()) {
    return InvalidArgument("namespace() of values without names");
  }
  auto made = std::make_shared<Namespace>();
  std::vector<Value> values;
  values.reserve(arguments.named.size());
  for (const auto& [name, value] : arguments.named) {
    values.push_back(value);
    made->attributes[name] = value;
  }
  // Refuses a namespace in a namespace.
  TANDEM_RETURN_IF_ERROR(
      MakeSequence(std::move(values), SequenceForm::kList, &budget_).status());
  return Value(std::move(made));
}

StatusOr<Value> Interpreter::MakeRange(const Arguments& arguments) {
  if (!arguments.named.empty() || arguments.positional.empty() ||
      arguments.positional.size() > 3) {
    return InvalidArgument("range() takes one to three integers");
  }
  std::vector<int64_t> bounds;
  bounds.reserve(3);
  for (const Value& value : arguments.positional) {
    TANDEM_ASSIGN_OR_RETURN(const int64_t bound, Integer(value));
    bounds.push_back(
        std::clamp<int64_t>(bound, -(int64_t{1} << 60), int64_t{1} << 60));
  }
  if (bounds.size() == 1) bounds.insert(bounds.begin(), 0);
  if (bounds.size() == 2) bounds.push_back(1);
  const int64_t step = bounds[2];
  if (step == 0) return InvalidArgument("range() with a step of 0");
  std::vector<Value> items;
  for (int64_t at = bounds[0]; step > 0 ? at < bounds[1] : at > bounds[1];
       at += step) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange) {
      return InvalidArgument("range() of more than {} integers", kMaxRange);
    }
    items.emplace_back(at);
  }
  return MakeSequence(std::move(items), SequenceForm::kView, &budget_);
}

StatusOr<Value> Interpreter::FormatNow(const Arguments& arguments) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound, arguments.Bind({"format"}));
  if (!bound[0] || bound[0]->text() == nullptr) {
    return InvalidArgument("strftime_now() takes a format");
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string text,
                          FormatTime(now_, bound[0]->text()->bytes()));
  return MakeText(Text(text), &budget_);
}

}  // namespace tandem::jinja
