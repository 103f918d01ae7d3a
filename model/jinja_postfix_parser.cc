// What follows an operand: attributes, subscripts, calls, filters, tests.
#include <utility>

#include "model/jinja_expression_parser.h"

namespace tandem::jinja {

using Kind = ExpressionKind;

StatusOr<ExpressionPointer> ExpressionParser::ParsePostfix(
    ExpressionPointer operand) {
  while (true) {
    if (tokens_.IsOperator(".")) {
      TANDEM_ASSIGN_OR_RETURN(operand, ParseAttribute(std::move(operand)));
    } else if (tokens_.IsOperator("[")) {
      TANDEM_ASSIGN_OR_RETURN(operand, ParseSubscript(std::move(operand)));
    } else if (tokens_.IsOperator("(")) {
      TANDEM_ASSIGN_OR_RETURN(operand, ParseCall(std::move(operand)));
    } else {
      return operand;
    }
  }
}

StatusOr<ExpressionPointer> ExpressionParser::ParseFilters(
    ExpressionPointer operand) {
  while (true) {
    if (tokens_.IsOperator("|")) {
      TANDEM_ASSIGN_OR_RETURN(operand, ParseFilter(std::move(operand)));
    } else if (tokens_.IsName("is")) {
      TANDEM_ASSIGN_OR_RETURN(operand, ParseTest(std::move(operand)));
    } else if (tokens_.IsOperator("(")) {
      TANDEM_ASSIGN_OR_RETURN(operand, ParseCall(std::move(operand)));
    } else {
      return operand;
    }
  }
}

StatusOr<ExpressionPointer> ExpressionParser::ParseAttribute(
    ExpressionPointer operand) {
  Expression attribute = New(Kind::kAttribute);
  tokens_.Next();
  attribute.operands.push_back(std::move(operand));
  if (tokens_.Is(TokenKind::kInteger)) {  // list.0
    attribute.kind = Kind::kSubscript;
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer index, ParseNumber());
    attribute.operands.push_back(std::move(index));
  } else {
    TANDEM_ASSIGN_OR_RETURN(attribute.name, tokens_.TakeAnyName());
  }
  return Finish(std::move(attribute));
}

StatusOr<ExpressionPointer> ExpressionParser::ParseSubscript(
    ExpressionPointer operand) {
  Expression subscript = New(Kind::kSubscript);
  tokens_.Next();
  subscript.operands.push_back(std::move(operand));
  for (int part = 0; part < 3; ++part) {
    const bool is_left_out = tokens_.IsOperator(":") || tokens_.IsOperator("]");
    ExpressionPointer bound;
    if (is_left_out) {
      Expression none = New(Kind::kConstant);
      none.constant = None{};
      TANDEM_ASSIGN_OR_RETURN(bound, Finish(std::move(none)));
    } else {
      TANDEM_ASSIGN_OR_RETURN(bound, Parse());
    }
    subscript.operands.push_back(std::move(bound));
    if (part == 0 && !tokens_.IsOperator(":")) {
      if (is_left_out) return tokens_.Unexpected("a subscript");
      break;
    }
    subscript.kind = Kind::kSlice;
    if (part < 2) tokens_.TakeOperator(":");
  }
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("]"));
  return Finish(std::move(subscript));
}

Status ExpressionParser::ParseArguments(Expression* call) {
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("("));
  while (!tokens_.IsOperator(")")) {
    if (tokens_.IsOperator("*") || tokens_.IsOperator("**")) {
      return InvalidArgument("'*' before an argument is not supported");
    }
    const Token& second = tokens_.Peek(1);
    const bool is_named = tokens_.Is(TokenKind::kName) &&
                          second.kind == TokenKind::kOperator &&
                          second.text == "=";
    std::string name;
    if (is_named) {
      name = tokens_.Next().text;
      tokens_.Next();
    } else if (!call->named.empty()) {
      return InvalidArgument("an argument without a name after one with");
    }
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer value, Parse());
    if (is_named) {
      call->named.emplace_back(std::move(name), std::move(value));
    } else {
      call->operands.push_back(std::move(value));
    }
    if (!tokens_.TakeOperator(",")) break;
  }
  return tokens_.ExpectOperator(")");
}

StatusOr<ExpressionPointer> ExpressionParser::ParseCall(
    ExpressionPointer operand) {
  Expression call = New(Kind::kCall);
  call.operands.push_back(std::move(operand));
  TANDEM_RETURN_IF_ERROR(ParseArguments(&call));
  return Finish(std::move(call));
}

StatusOr<std::string> ExpressionParser::ParseDottedName() {
  TANDEM_ASSIGN_OR_RETURN(std::string name, tokens_.TakeAnyName());
  while (tokens_.TakeOperator(".")) {
    TANDEM_ASSIGN_OR_RETURN(const std::string part, tokens_.TakeAnyName());
    name += "." + part;
  }
  return name;
}

StatusOr<ExpressionPointer> ExpressionParser::ParseFilter(
    ExpressionPointer operand) {
  Expression filter = New(Kind::kFilter);
  tokens_.Next();
  filter.operands.push_back(std::move(operand));
  TANDEM_ASSIGN_OR_RETURN(filter.name, ParseDottedName());
  if (tokens_.IsOperator("(")) {
    TANDEM_RETURN_IF_ERROR(ParseArguments(&filter));
  }
  return Finish(std::move(filter));
}

// A test may take one argument without parentheses: x is divisibleby 3.
bool ExpressionParser::AtTestArgument() const {
  if (tokens_.Is(TokenKind::kName)) {
    return !tokens_.IsName("else") && !tokens_.IsName("or") &&
           !tokens_.IsName("and");
  }
  return tokens_.Is(TokenKind::kString) || tokens_.Is(TokenKind::kInteger) ||
         tokens_.Is(TokenKind::kFloat) || tokens_.IsOperator("[") ||
         tokens_.IsOperator("{");
}

StatusOr<ExpressionPointer> ExpressionParser::ParseTest(
    ExpressionPointer operand) {
  Expression test = New(Kind::kTest);
  Expression negation = New(Kind::kNot);
  tokens_.Next();
  const bool is_negated = tokens_.TakeName("not");
  test.operands.push_back(std::move(operand));
  TANDEM_ASSIGN_OR_RETURN(test.name, ParseDottedName());
  if (tokens_.IsOperator("(")) {
    TANDEM_RETURN_IF_ERROR(ParseArguments(&test));
  } else if (tokens_.IsName("is")) {
    return InvalidArgument("tests cannot be chained with 'is'");
  } else if (AtTestArgument()) {
    TANDEM_ASSIGN_OR_RETURN(ExpressionPointer argument, ParsePrimary());
    TANDEM_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    test.operands.push_back(std::move(argument));
  }
  if (!is_negated) return Finish(std::move(test));
  TANDEM_ASSIGN_OR_RETURN(ExpressionPointer positive, Finish(std::move(test)));
  negation.operands.push_back(std::move(positive));
  return Finish(std::move(negation));
}

}  // namespace tandem::jinja
