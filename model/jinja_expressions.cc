// The interpreter's expressions.
#include "model/jinja_attributes.h"
#include "model/jinja_filters.h"
#include "model/jinja_format.h"
#include "model/jinja_interpreter.h"
#include "model/jinja_operators.h"
#include "model/jinja_tests.h"

namespace tandem::jinja {

using Kind = ExpressionKind;

StatusOr<Value> Interpreter::Evaluate(const Expression& expression) {
  const Status entered = Enter();
  StatusOr<Value> value = entered.ok() ? Dispatch(expression) : entered;
  if (entered.ok()) Leave();
  if (!value.ok() && error_line_ == 0) error_line_ = expression.line;
  return value;
}

StatusOr<bool> Interpreter::IsTrue(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const Value value, Evaluate(expression));
  return value.IsTrue();
}

StatusOr<Value> Interpreter::Dispatch(const Expression& expression) {
  switch (expression.kind) {
    case Kind::kConstant:
      return expression.constant;
    case Kind::kName:
      return EvaluateName(expression);
    case Kind::kList:
    case Kind::kTuple: {
      TANDEM_ASSIGN_OR_RETURN(std::vector<Value> items,
                              EvaluateAll(expression));
      return MakeSequence(std::move(items),
                          expression.kind == Kind::kList ? SequenceForm::kList
                                                         : SequenceForm::kTuple,
                          &budget_);
    }
    case Kind::kDict:
      return EvaluateDict(expression);
    case Kind::kAttribute: {
      TANDEM_ASSIGN_OR_RETURN(const Value object,
                              Evaluate(*expression.operands[0]));
      return Attribute(object, expression.name);
    }
    case Kind::kSubscript: {
      TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> parts,
                              EvaluateAll(expression));
      return Subscript(parts[0], parts[1], &budget_);
    }
    case Kind::kSlice:
      return EvaluateSlice(expression);
    case Kind::kCall:
      return EvaluateCall(expression);
    case Kind::kFilter:
      return EvaluateFilter(expression);
    case Kind::kTest:
      return EvaluateTest(expression);
    case Kind::kNot: {
      TANDEM_ASSIGN_OR_RETURN(const bool holds,
                              IsTrue(*expression.operands[0]));
      return Value(!holds);
    }
    case Kind::kNegative:
    case Kind::kPositive:
      return EvaluateSign(expression);
    case Kind::kAnd:
    case Kind::kOr:
      return EvaluateLogical(expression);
    case Kind::kArithmetic: {
      TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> sides,
                              EvaluateAll(expression));
      return Arithmetic(expression.name, sides[0], sides[1], &budget_);
    }
    case Kind::kConcatenate:
      return EvaluateConcatenation(expression);
    case Kind::kCompare:
      return EvaluateComparison(expression);
    case Kind::kConditional:
      return EvaluateConditional(expression);
  }
  return Internal("an expression of unknown kind");
}

StatusOr<std::vector<Value>> Interpreter::EvaluateAll(
    const Expression& expression) {
  std::vector<Value> values;
  values.reserve(expression.operands.size());
  for (const ExpressionPointer& operand : expression.operands) {
    TANDEM_ASSIGN_OR_RETURN(Value value, Evaluate(*operand));
    values.push_back(std::move(value));
  }
  return values;
}

StatusOr<Value> Interpreter::EvaluateName(const Expression& expression) {
  for (const Scope* scope = scope_.get(); scope != nullptr;
       scope = scope->parent.get()) {
    const auto found = scope->values.find(expression.name);
    if (found != scope->values.end()) return found->second;
  }
  return FindBuiltin(expression.name);
}

StatusOr<Value> Interpreter::EvaluateDict(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> parts,
                          EvaluateAll(expression));
  Dict dict;
  for (size_t i = 0; i < parts.size(); i += 2) {
    if (parts[i].text() == nullptr) {
      return InvalidArgument("a dict's key is of type {}, expected a str",
                             parts[i].TypeName());
    }
    dict.Set(*parts[i].text(), parts[i + 1]);
  }
  return MakeDict(std::move(dict), &budget_);
}

StatusOr<Value> Interpreter::EvaluateSlice(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> parts,
                          EvaluateAll(expression));
  return Slice(parts[0], parts[1], parts[2], parts[3], &budget_);
}

StatusOr<Value> Interpreter::EvaluateSign(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const Value value, Evaluate(*expression.operands[0]));
  TANDEM_ASSIGN_OR_RETURN(Value negated, Negate(value));
  return expression.kind == Kind::kNegative ? negated : Negate(negated);
}

// Python's: the side that decided.
StatusOr<Value> Interpreter::EvaluateLogical(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(Value left, Evaluate(*expression.operands[0]));
  if (left.IsTrue() == (expression.kind == Kind::kOr)) return left;
  return Evaluate(*expression.operands[1]);
}

StatusOr<Value> Interpreter::EvaluateComparison(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(Value left, Evaluate(*expression.operands[0]));
  for (size_t i = 0; i < expression.symbols.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(Value right, Evaluate(*expression.operands[i + 1]));
    TANDEM_ASSIGN_OR_RETURN(const bool holds, Compare(expression.symbols[i],
                                                      left, right, &budget_));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

StatusOr<Value> Interpreter::EvaluateConcatenation(
    const Expression& expression) {
  Text joined;
  for (const ExpressionPointer& operand : expression.operands) {
    TANDEM_ASSIGN_OR_RETURN(const Value value, Evaluate(*operand));
    TANDEM_ASSIGN_OR_RETURN(const Text text, ToText(value, &budget_));
    joined.Append(text);
  }
  return MakeText(std::move(joined), &budget_);
}

StatusOr<Value> Interpreter::EvaluateConditional(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const bool holds, IsTrue(*expression.operands[0]));
  if (holds) return Evaluate(*expression.operands[1]);
  if (expression.operands.size() < 3) {
    return Value(Undefined{"the else of an if"});
  }
  return Evaluate(*expression.operands[2]);
}

StatusOr<Arguments> Interpreter::EvaluateArguments(
    const Expression& expression) {
  Arguments arguments;
  arguments.positional.reserve(expression.operands.size() - 1);
  for (size_t i = 1; i < expression.operands.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(Value value, Evaluate(*expression.operands[i]));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, operand] : expression.named) {
    TANDEM_ASSIGN_OR_RETURN(Value value, Evaluate(*operand));
    arguments.named.emplace_back(name, std::move(value));
  }
  return arguments;
}

StatusOr<Value> Interpreter::EvaluateFilter(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const Value input, Evaluate(*expression.operands[0]));
  TANDEM_ASSIGN_OR_RETURN(const Arguments arguments,
                          EvaluateArguments(expression));
  return ApplyFilter(expression.name, input, arguments, &budget_);
}

StatusOr<Value> Interpreter::EvaluateTest(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const Value value, Evaluate(*expression.operands[0]));
  TANDEM_ASSIGN_OR_RETURN(const Arguments arguments,
                          EvaluateArguments(expression));
  TANDEM_ASSIGN_OR_RETURN(const bool passes, ApplyTest(expression.name, value,
                                                       arguments, &budget_));
  return Value(passes);
}

}  // namespace tandem::jinja
