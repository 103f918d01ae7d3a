// The interpreter's statements.
#include "model/jinja_format.h"
#include "model/jinja_interpreter.h"

namespace tandem::jinja {
namespace {

// Of expressions, statements and macros in each other; each level takes less
// than 4 KB of the stack.
constexpr int kMaxCallDepth = 400;

}  // namespace

Status Interpreter::Enter() {
  TANDEM_RETURN_IF_ERROR(budget_.Spend(kNodeUnits));
  if (depth_ >= kMaxCallDepth) {
    return InvalidArgument("calls nest deeper than {} levels", kMaxCallDepth);
  }
  ++depth_;
  return OkStatus();
}

StatusOr<Interpreter::Flow> Interpreter::Execute(const Body& body) {
  for (const Statement& statement : body) {
    TANDEM_ASSIGN_OR_RETURN(const Flow flow, ExecuteStatement(statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

StatusOr<Interpreter::Flow> Interpreter::ExecuteStatement(
    const Statement& statement) {
  const Status entered = Enter();
  StatusOr<Flow> flow = entered.ok() ? DispatchStatement(statement) : entered;
  if (entered.ok()) Leave();
  if (!flow.ok() && error_line_ == 0) error_line_ = statement.line;
  return flow;
}

StatusOr<Interpreter::Flow> Interpreter::DispatchStatement(
    const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::kText:
      TANDEM_RETURN_IF_ERROR(budget_.Spend(statement.text.size()));
      output_.Append(statement.text, kFromTemplate);
      return Flow::kNext;
    case StatementKind::kOutput:
      TANDEM_RETURN_IF_ERROR(Output(*statement.expression));
      return Flow::kNext;
    case StatementKind::kIf:
      return ExecuteIf(statement);
    case StatementKind::kFor:
      return ExecuteFor(statement);
    case StatementKind::kSet: {
      TANDEM_ASSIGN_OR_RETURN(const Value value,
                              Evaluate(*statement.expression));
      TANDEM_RETURN_IF_ERROR(Assign(statement.target, value));
      return Flow::kNext;
    }
    case StatementKind::kSetBlock: {
      TANDEM_ASSIGN_OR_RETURN(Text text, Capture(statement.body));
      TANDEM_RETURN_IF_ERROR(Assign(statement.target, Value(std::move(text))));
      return Flow::kNext;
    }
    case StatementKind::kMacro:
      scope_->values[statement.target.names[0]] =
          Value(Macro{&statement, scope_});
      return Flow::kNext;
    case StatementKind::kGeneration: {
      TANDEM_ASSIGN_OR_RETURN(const Text text,
                              CaptureInScope(statement.body, scope_));
      TANDEM_RETURN_IF_ERROR(budget_.Spend(text.size()));
      output_.Append(text.Generated());
      return Flow::kNext;
    }
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Status Interpreter::Output(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const Value value, Evaluate(expression));
  TANDEM_ASSIGN_OR_RETURN(const Text text, ToText(value, &budget_));
  output_.Append(text);
  return OkStatus();
}

StatusOr<Interpreter::Flow> Interpreter::ExecuteIf(const Statement& statement) {
  for (const Branch& branch : statement.branches) {
    if (branch.condition != nullptr) {
      TANDEM_ASSIGN_OR_RETURN(const bool holds, IsTrue(*branch.condition));
      if (!holds) continue;
    }
    return Execute(branch.body);
  }
  return Flow::kNext;
}

StatusOr<std::vector<Value>> Interpreter::LoopItems(
    const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(const Value iterated,
                          Evaluate(*statement.expression));
  TANDEM_ASSIGN_OR_RETURN(std::vector<Value> items,
                          Iterate(iterated, &budget_));
  if (statement.condition == nullptr) return items;
  std::vector<Value> selected;
  for (const Value& item : items) {
    const std::shared_ptr<Scope> outer = scope_;
    scope_ = std::make_shared<Scope>(Scope{outer, {}});
    TANDEM_RETURN_IF_ERROR(Assign(statement.target, item));
    TANDEM_ASSIGN_OR_RETURN(const bool holds, IsTrue(*statement.condition));
    scope_ = outer;
    if (holds) selected.push_back(item);
  }
  return selected;
}

// Each iteration has a scope of its own: what it sets is gone in the next.
StatusOr<Interpreter::Flow> Interpreter::ExecuteFor(
    const Statement& statement) {
  TANDEM_ASSIGN_OR_RETURN(std::vector<Value> found, LoopItems(statement));
  TANDEM_ASSIGN_OR_RETURN(
      const Value list,
      MakeSequence(std::move(found), SequenceForm::kList, &budget_));
  const std::shared_ptr<const Sequence> items = list.shared_sequence();
  const std::shared_ptr<Scope> outer = scope_;
  for (size_t i = 0; i < items->items.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(budget_.Spend(kNodeUnits));
    scope_ = std::make_shared<Scope>(Scope{outer, {}});
    scope_->values["loop"] = Value(Loop{items, i});
    TANDEM_RETURN_IF_ERROR(Assign(statement.target, items->items[i]));
    TANDEM_ASSIGN_OR_RETURN(const Flow flow, Execute(statement.body));
    if (flow == Flow::kBreak) break;
  }
  if (items->items.empty()) {
    scope_ = std::make_shared<Scope>(Scope{outer, {}});
    TANDEM_RETURN_IF_ERROR(Execute(statement.otherwise).status());
  }
  scope_ = outer;
  return Flow::kNext;
}

Status Interpreter::AssignAttribute(const Target& target, const Value& value) {
  std::shared_ptr<Scope> scope = scope_;
  while (scope != nullptr && !scope->values.contains(target.names[0])) {
    scope = scope->parent;
  }
  Namespace* name_space =
      scope == nullptr ? nullptr : scope->values[target.names[0]].name_space();
  if (name_space == nullptr) {
    return InvalidArgument("'{}' is no namespace", target.names[0]);
  }
  // A namespace in itself would live for ever.
  TANDEM_RETURN_IF_ERROR(
      MakeSequence({value}, SequenceForm::kList, &budget_).status());
  name_space->attributes[target.attribute] = value;
  return OkStatus();
}

Status Interpreter::Assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) return AssignAttribute(target, value);
  if (!target.is_tuple) {
    scope_->values[target.names[0]] = value;
    return OkStatus();
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> parts,
                          Iterate(value, &budget_));
  if (parts.size() != target.names.size()) {
    return InvalidArgument("{} values for {} names", parts.size(),
                           target.names.size());
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    scope_->values[target.names[i]] = parts[i];
  }
  return OkStatus();
}

StatusOr<Text> Interpreter::CaptureInScope(const Body& body,
                                           std::shared_ptr<Scope> scope) {
  const std::shared_ptr<Scope> outer = std::exchange(
      scope_, std::make_shared<Scope>(Scope{std::move(scope), {}}));
  StatusOr<Text> text = Capture(body);
  scope_ = outer;
  return text;
}

StatusOr<Text> Interpreter::Capture(const Body& body) {
  Text outside = std::exchange(output_, Text());
  const Status status = Execute(body).status();
  Text captured = std::exchange(output_, std::move(outside));
  TANDEM_RETURN_IF_ERROR(status);
  return captured;
}

}  // namespace tandem::jinja
