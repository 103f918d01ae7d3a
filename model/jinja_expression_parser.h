// Jinja's expressions, from tokens to trees.
#ifndef TANDEM_MODEL_JINJA_EXPRESSION_PARSER_H_
#define TANDEM_MODEL_JINJA_EXPRESSION_PARSER_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/jinja_syntax.h"
#include "model/jinja_token_stream.h"

namespace tandem::jinja {

// Precedence, loosest first: if-else, or, and, not, comparisons, + and -, ~,
// * / // %, **, signs, then calls, filters and tests. Every function returns
// InvalidArgument for what it cannot read and for trees that are too deep; the
// stream stands where it happened.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream* tokens) : tokens_(*tokens) {}

  // `x if y else z` is read only `with_conditional`.
  StatusOr<ExpressionPointer> Parse(bool with_conditional = true);
  // The same, and "a, b" as a tuple.
  StatusOr<ExpressionPointer> ParseTuple(bool with_conditional = true);

 private:
  using Method = StatusOr<ExpressionPointer> (ExpressionParser::*)();

  StatusOr<ExpressionPointer> ParseConditional();
  StatusOr<ExpressionPointer> ParseOr();
  StatusOr<ExpressionPointer> ParseAnd();
  StatusOr<ExpressionPointer> ParseNot();
  StatusOr<ExpressionPointer> ParseComparison();
  StatusOr<ExpressionPointer> ParseSum();
  StatusOr<ExpressionPointer> ParseConcatenation();
  StatusOr<ExpressionPointer> ParseProduct();
  StatusOr<ExpressionPointer> ParsePower();
  StatusOr<ExpressionPointer> ParseUnary() { return ParseSigned(true); }
  StatusOr<ExpressionPointer> ParseSigned(bool with_filters);
  StatusOr<ExpressionPointer> ParsePrimary();
  StatusOr<ExpressionPointer> ParseName();
  StatusOr<ExpressionPointer> ParseNumber();
  StatusOr<ExpressionPointer> ParseParentheses();
  StatusOr<ExpressionPointer> ParseList();
  StatusOr<ExpressionPointer> ParseDict();
  StatusOr<ExpressionPointer> ParsePostfix(ExpressionPointer operand);
  StatusOr<ExpressionPointer> ParseFilters(ExpressionPointer operand);
  StatusOr<ExpressionPointer> ParseFilter(ExpressionPointer operand);
  StatusOr<ExpressionPointer> ParseTest(ExpressionPointer operand);
  StatusOr<ExpressionPointer> ParseAttribute(ExpressionPointer operand);
  StatusOr<ExpressionPointer> ParseSubscript(ExpressionPointer operand);
  StatusOr<ExpressionPointer> ParseCall(ExpressionPointer operand);
  // Left-associative operators of one level.
  StatusOr<ExpressionPointer> ParseBinary(
      Method next, const std::vector<std::string_view>& symbols);
  // "name" or "name.name".
  StatusOr<std::string> ParseDottedName();
  Status ParseArguments(Expression* call);
  bool AtTestArgument() const;
  // The comparison's symbol if one comes next, and takes it.
  std::string TakeComparison();

  Expression New(ExpressionKind kind) const;
  // Fails where the tree got too deep.
  StatusOr<ExpressionPointer> Finish(Expression expression) const;

  TokenStream& tokens_;
  int nesting_ = 0;
};

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_EXPRESSION_PARSER_H_
