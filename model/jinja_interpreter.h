// Walks a template's tree and writes text.
#ifndef TANDEM_MODEL_JINJA_INTERPRETER_H_
#define TANDEM_MODEL_JINJA_INTERPRETER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "model/jinja_arguments.h"
#include "model/jinja_budget.h"
#include "model/jinja_syntax.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

// A loop's iteration, a macro's call, or the whole template.
struct Scope {
  std::shared_ptr<Scope> parent;  // null for the variables given from outside
  std::map<std::string, Value, std::less<>> values;
};

// For one rendering. Every function returns InvalidArgument for what Python
// would raise, what is not supported, and what takes too much work.
class Interpreter {
 public:
  // The time is what strftime_now() prints.
  Interpreter(std::shared_ptr<Scope> variables, TimePoint now, Budget budget)
      : scope_(std::move(variables)), now_(now), budget_(budget) {}

  StatusOr<Text> Render(const Body& body) { return Capture(body); }
  // Where the first error was; 0 without one.
  int error_line() const { return error_line_; }

 private:
  // What a statement says about those after it.
  enum class Flow { kNext, kBreak, kContinue };

  // jinja_statements.cc
  StatusOr<Flow> Execute(const Body& body);
  StatusOr<Flow> ExecuteStatement(const Statement& statement);
  StatusOr<Flow> DispatchStatement(const Statement& statement);
  StatusOr<Flow> ExecuteIf(const Statement& statement);
  StatusOr<Flow> ExecuteFor(const Statement& statement);
  StatusOr<std::vector<Value>> LoopItems(const Statement& statement);
  Status Output(const Expression& expression);
  Status Assign(const Target& target, const Value& value);
  Status AssignAttribute(const Target& target, const Value& value);
  // Runs the body in a scope of its own; what it writes.
  StatusOr<Text> CaptureInScope(const Body& body, std::shared_ptr<Scope> scope);
  StatusOr<Text> Capture(const Body& body);

  // jinja_expressions.cc
  StatusOr<Value> Evaluate(const Expression& expression);
  StatusOr<Value> Dispatch(const Expression& expression);
  StatusOr<bool> IsTrue(const Expression& expression);
  StatusOr<std::vector<Value>> EvaluateAll(const Expression& expression);
  StatusOr<Value> EvaluateName(const Expression& expression);
  StatusOr<Value> EvaluateDict(const Expression& expression);
  StatusOr<Value> EvaluateSlice(const Expression& expression);
  StatusOr<Value> EvaluateSign(const Expression& expression);
  StatusOr<Value> EvaluateLogical(const Expression& expression);
  StatusOr<Value> EvaluateComparison(const Expression& expression);
  StatusOr<Value> EvaluateConcatenation(const Expression& expression);
  StatusOr<Value> EvaluateConditional(const Expression& expression);
  StatusOr<Value> EvaluateFilter(const Expression& expression);
  StatusOr<Value> EvaluateTest(const Expression& expression);
  // operands[1..] and named.
  StatusOr<Arguments> EvaluateArguments(const Expression& expression);

  // jinja_calls.cc
  StatusOr<Value> EvaluateCall(const Expression& call);
  StatusOr<Value> CallMacro(const Macro& macro, const Arguments& arguments);
  StatusOr<Value> CallBuiltin(std::string_view name,
                              const Arguments& arguments);
  StatusOr<Value> MakeNamespace(const Arguments& arguments);
  StatusOr<Value> MakeRange(const Arguments& arguments);
  StatusOr<Value> FormatNow(const Arguments& arguments);
  // A function of every template's, or undefined.
  static StatusOr<Value> FindBuiltin(const std::string& name);

  Status Enter();  // one level deeper
  void Leave() { --depth_; }

  std::shared_ptr<Scope> scope_;
  TimePoint now_;
  Budget budget_;
  Text output_;
  int depth_ = 0;
  int error_line_ = 0;
};

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_INTERPRETER_H_
