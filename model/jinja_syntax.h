// A template as a tree.
#ifndef TANDEM_MODEL_JINJA_SYNTAX_H_
#define TANDEM_MODEL_JINJA_SYNTAX_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/jinja_value.h"

namespace tandem::jinja {

struct Expression;
using ExpressionPointer = std::unique_ptr<const Expression>;

enum class ExpressionKind {
  kConstant,     // constant
  kName,         // name
  kList,         // operands
  kTuple,        // operands
  kDict,         // operands: key, value, key, value, ...
  kAttribute,    // operands[0].name
  kSubscript,    // operands[0][operands[1]]
  kSlice,        // operands[0][operands[1]:operands[2]:operands[3]]; the last
                 // three are None where left out
  kCall,         // operands[0](operands[1], ..., named)
  kFilter,       // operands[0]|name(operands[1], ..., named)
  kTest,         // operands[0] is name(operands[1], ..., named)
  kNot,          // operands[0]
  kNegative,     // operands[0]
  kPositive,     // operands[0]
  kAnd,          // operands[0], operands[1]
  kOr,           // operands[0], operands[1]
  kArithmetic,   // operands[0] name operands[1]
  kConcatenate,  // operands, as texts
  kCompare,      // operands[0] symbols[0] operands[1] symbols[1] ...
  kConditional   // operands[1] if operands[0] else operands[2], which may miss
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  int line = 1;
  int depth = 1;  // of the tree below, this included
  std::string name;
  Value constant;
  std::vector<ExpressionPointer> operands;
  std::vector<std::pair<std::string, ExpressionPointer>> named;
  std::vector<std::string> symbols;
};

struct Statement;
using Body = std::vector<Statement>;

enum class StatementKind {
  kText,        // text
  kOutput,      // expression
  kIf,          // branches
  kFor,         // target in expression if condition: body, else otherwise
  kSet,         // target = expression
  kSetBlock,    // target = what body writes
  kMacro,       // target.names[0](parameters): body
  kGeneration,  // body, which an assistant is to write
  kBreak,
  kContinue
};

// x, or (x, y), or x.attribute of a namespace.
struct Target {
  std::vector<std::string> names;
  bool is_tuple = false;
  std::string attribute;
};

struct Branch {
  ExpressionPointer condition;  // null: else
  Body body;
};

struct Parameter {
  std::string name;
  ExpressionPointer otherwise;  // may be null
};

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 1;
  std::string text;
  Target target;
  ExpressionPointer expression, condition;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  Body body, otherwise;
};

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_SYNTAX_H_
