#include "model/jinja_expression_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tandem::jinja {
namespace {

constexpr int kMaxNesting = 50;     // of brackets, signs and the like
constexpr int kMaxTreeDepth = 300;  // a sum of n terms is n deep

}  // namespace

using Kind = ExpressionKind;

Expression ExpressionParser::New(Kind kind) const {
  Expression expression;
  expression.kind = kind;
  expression.line = tokens_.Peek().line;
  return expression;
}

StatusOr<ExpressionPointer> ExpressionParser::Finish(
    Expression expression) const {
  int depth = 0;
  for (const ExpressionPointer& operand : expression.operands) {
    if (operand != nullptr) depth = std::max(depth, operand->depth);
  }
  for (const auto& [name, value] : expression.named) {
    depth = std::max(depth, value->depth);
  }
  expression.depth = depth + 1;
  if (expression.depth > kMaxTreeDepth) {
    return InvalidArgument("an expression is more than {} operations deep",
                           kMaxTreeDepth);
  }
  return std::make_unique<const Expression>(std::move(expression));
}

StatusOr<ExpressionPointer> ExpressionParser::Parse(bool with_conditional) {
  if (nesting_ >= kMaxNesting) {
    return InvalidArgument("an expression nests deeper than {} levels",
                           kMaxNesting);
  }
  ++nesting_;
  StatusOr<ExpressionPointer> expression =
      with_conditional ? ParseConditional() : ParseOr();
  --nesting_;
  return expression;
}

StatusOr<ExpressionPointer> ExpressionParser::ParseTuple(
    bool with_conditional) {
  Expression tuple = New(Kind::kTuple);
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer first, Parse(with_conditional));
  if (!tokens_.IsOperator(",")) return first;
  tuple.operands.push_back(std::move(first));
  while (tokens_.TakeOperator(",")) {
    if (tokens_.Is(TokenKind::kOutputEnd) || tokens_.Is(TokenKind::kBlockEnd) ||
        tokens_.IsOperator(")")) {
      break;
    }
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer item, Parse(with_conditional));
    tuple.operands.push_back(std::move(item));
  }
  return Finish(std::move(tuple));
}

StatusOr<ExpressionPointer> ExpressionParser::ParseConditional() {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer expression, ParseOr());
  while (tokens_.IsName("if")) {
    Expression conditional = New(Kind::kConditional);
    tokens_.Next();
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer condition, ParseOr());
    conditional.operands.push_back(std::move(condition));
    conditional.operands.push_back(std::move(expression));
    if (tokens_.TakeName("else")) {
      TANDEM_ASSIGN_OR_RETURN(ExpressionPointer otherwise, Parse());
      conditional.operands.push_back(std::move(otherwise));
    }
    TANDEM_ASSIGN_OR_RETURN(expression, Finish(std::move(conditional)));
  }
  return expression;
}

StatusOr<ExpressionPointer> ExpressionParser::ParseOr() {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer left, ParseAnd());
  while (tokens_.IsName("or")) {
    Expression either = New(Kind::kOr);
    tokens_.Next();
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer right, ParseAnd());
    either.operands.push_back(std::move(left));
    either.operands.push_back(std::move(right));
    TANDEM_ASSIGN_OR_RETURN(left, Finish(std::move(either)));
  }
  return left;
}

StatusOr<ExpressionPointer> ExpressionParser::ParseAnd() {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer left, ParseNot());
  while (tokens_.IsName("and")) {
    Expression both = New(Kind::kAnd);
    tokens_.Next();
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer right, ParseNot());
    both.operands.push_back(std::move(left));
    both.operands.push_back(std::move(right));
    TANDEM_ASSIGN_OR_RETURN(left, Finish(std::move(both)));
  }
  return left;
}

StatusOr<ExpressionPointer> ExpressionParser::ParseNot() {
  int negations = 0;
  Expression negation = New(Kind::kNot);
  while (tokens_.TakeName("not")) ++negations;
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer operand, ParseComparison());
  for (; negations > 0; --negations) {
    Expression expression = New(Kind::kNot);
    expression.line = negation.line;
    expression.operands.push_back(std::move(operand));
    TANDEM_ASSIGN_OR_RETURN(operand, Finish(std::move(expression)));
  }
  return operand;
}

std::string ExpressionParser::TakeComparison() {
  for (const char* symbol : {"==", "!=", "<=", ">=", "<", ">"}) {
    if (tokens_.TakeOperator(symbol)) return symbol;
  }
  if (tokens_.TakeName("in")) return "in";
  const Token& second = tokens_.Peek(1);
  if (tokens_.IsName("not") && second.kind == TokenKind::kName &&
      second.text == "in") {
    tokens_.Next();
    tokens_.Next();
    return "not in";
  }
  return "";
}

StatusOr<ExpressionPointer> ExpressionParser::ParseComparison() {
  Expression comparison = New(Kind::kCompare);
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer left, ParseSum());
  for (std::string symbol = TakeComparison(); !symbol.empty();
       symbol = TakeComparison()) {
    if (comparison.operands.empty())
      comparison.operands.push_back(std::move(left));
    comparison.symbols.push_back(std::move(symbol));
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer right, ParseSum());
    comparison.operands.push_back(std::move(right));
  }
  if (comparison.operands.empty()) return left;
  return Finish(std::move(comparison));
}

StatusOr<ExpressionPointer> ExpressionParser::ParseBinary(
    Method next, const std::vector<std::string_view>& symbols) {
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer left, (this->*next)());
  while (tokens_.Is(TokenKind::kOperator) &&
         std::find(symbols.begin(), symbols.end(), tokens_.Peek().text) !=
             symbols.end()) {
    Expression binary = New(Kind::kArithmetic);
    binary.name = tokens_.Next().text;
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer right, (this->*next)());
    binary.operands.push_back(std::move(left));
    binary.operands.push_back(std::move(right));
    TANDEM_ASSIGN_OR_RETURN(left, Finish(std::move(binary)));
  }
  return left;
}

StatusOr<ExpressionPointer> ExpressionParser::ParseSum() {
  return ParseBinary(&ExpressionParser::ParseConcatenation, {"+", "-"});
}

StatusOr<ExpressionPointer> ExpressionParser::ParseConcatenation() {
  Expression concatenation = New(Kind::kConcatenate);
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer first, ParseProduct());
  if (!tokens_.IsOperator("~")) return first;
  concatenation.operands.push_back(std::move(first));
  while (tokens_.TakeOperator("~")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer next, ParseProduct());
    concatenation.operands.push_back(std::move(next));
  }
  return Finish(std::move(concatenation));
}

StatusOr<ExpressionPointer> ExpressionParser::ParseProduct() {
  return ParseBinary(&ExpressionParser::ParsePower, {"*", "/", "//", "%"});
}

StatusOr<ExpressionPointer> ExpressionParser::ParsePower() {
  return ParseBinary(&ExpressionParser::ParseUnary, {"**"});
}

StatusOr<ExpressionPointer> ExpressionParser::ParseSigned(bool with_filters) {
  if (nesting_ >= kMaxNesting) {
    return InvalidArgument("an expression nests deeper than {} levels",
                           kMaxNesting);
  }
  ExpressionPointer operand;
  if (tokens_.IsOperator("-") || tokens_.IsOperator("+")) {
    Expression sign =
        New(tokens_.IsOperator("-") ? Kind::kNegative : Kind::kPositive);
    tokens_.Next();
    ++nesting_;
    StatusOr<ExpressionPointer> inner = ParseSigned(false);
    --nesting_;
    TANDEM_RETURN_IF_ERROR(inner.status());
    sign.operands.push_back(*std::move(inner));
    TANDEM_ASSIGN_OR_RETURN(operand, Finish(std::move(sign)));
  } else {
    TANDEM_ASSIGN_OR_RETURN(operand, ParsePrimary());
  }
  TANDEM_ASSIGN_OR_RETURN(operand, ParsePostfix(std::move(operand)));
  if (!with_filters) return operand;
  return ParseFilters(std::move(operand));
}

StatusOr<ExpressionPointer> ExpressionParser::ParsePrimary() {
  if (tokens_.Is(TokenKind::kName)) return ParseName();
  if (tokens_.Is(TokenKind::kInteger) || tokens_.Is(TokenKind::kFloat)) {
    return ParseNumber();
  }
  if (tokens_.Is(TokenKind::kString)) {
    Expression constant = New(Kind::kConstant);
    std::string text;
    while (tokens_.Is(TokenKind::kString)) text += tokens_.Next().text;
    constant.constant = Text(text);
    return Finish(std::move(constant));
  }
  if (tokens_.IsOperator("(")) return ParseParentheses();
  if (tokens_.IsOperator("[")) return ParseList();
  if (tokens_.IsOperator("{")) return ParseDict();
  return tokens_.Unexpected("an expression");
}

StatusOr<ExpressionPointer> ExpressionParser::ParseName() {
  Expression expression = New(Kind::kConstant);
  const std::string name = tokens_.Next().text;
  if (name == "true" || name == "True") {
    expression.constant = true;
  } else if (name == "false" || name == "False") {
    expression.constant = false;
  } else if (name == "none" || name == "None") {
    expression.constant = None{};
  } else {
    expression.kind = Kind::kName;
    expression.name = name;
  }
  return Finish(std::move(expression));
}

StatusOr<ExpressionPointer> ExpressionParser::ParseNumber() {
  Expression expression = New(Kind::kConstant);
  const Token& token = tokens_.Next();
  const char* begin = token.text.data();
  const char* end = begin + token.text.size();
  int64_t integer = 0;
  double number = 0;
  const bool is_integer = token.kind == TokenKind::kInteger;
  const auto read = is_integer ? std::from_chars(begin, end, integer)
                               : std::from_chars(begin, end, number);
  if (read.ec != std::errc() || read.ptr != end) {
    return InvalidArgument("number '{}' is out of range", token.text);
  }
  expression.constant = is_integer ? Value(integer) : Value(number);
  return Finish(std::move(expression));
}

StatusOr<ExpressionPointer> ExpressionParser::ParseParentheses() {
  Expression empty = New(Kind::kTuple);
  tokens_.Next();
  if (tokens_.TakeOperator(")")) return Finish(std::move(empty));
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer inside, ParseTuple());
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
  return inside;
}

StatusOr<ExpressionPointer> ExpressionParser::ParseList() {
  Expression list = New(Kind::kList);
  tokens_.Next();
  while (!tokens_.IsOperator("]")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer item, Parse());
    list.operands.push_back(std::move(item));
    if (!tokens_.TakeOperator(",")) break;
  }
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("]"));
  return Finish(std::move(list));
}

StatusOr<ExpressionPointer> ExpressionParser::ParseDict() {
  Expression dict = New(Kind::kDict);
  tokens_.Next();
  while (!tokens_.IsOperator("}")) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer key, Parse());
    TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator(":"));
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer value, Parse());
    dict.operands.push_back(std::move(key));
    dict.operands.push_back(std::move(value));
    if (!tokens_.TakeOperator(",")) break;
  }
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("}"));
  return Finish(std::move(dict));
}

}  // namespace tandem::jinja
