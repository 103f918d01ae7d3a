#include "model/jinja_parser.h"

#include <algorithm>
#include <initializer_list>

#include "model/jinja_expression_parser.h"
#include "model/jinja_lexer.h"
#include "model/jinja_token_stream.h"

namespace tandem::jinja {
namespace {

constexpr int kMaxBlocks = 50;  // in each other

using Names = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), expressions_(&tokens_) {}

  // Statements up to a tag of one of `ends`, or up to the end of the template
  // where there are none to wait for. The tag is still to be read.
  StatusOr<Body> ParseBody(Names ends);
  int line() const { return tokens_.Peek().line; }

 private:
  using Method = Status (Parser::*)(Statement*);

  StatusOr<Statement> ParseOutput();
  StatusOr<Statement> ParseTag();
  Status ParseIf(Statement* statement);
  Status ParseFor(Statement* statement);
  Status ParseSet(Statement* statement);
  Status ParseMacro(Statement* statement);
  Status ParseParameters(Statement* macro);
  Status ParseGeneration(Statement* statement);
  Status ParseBreak(Statement* statement);
  Status ParseContinue(Statement* statement);
  StatusOr<Target> ParseTarget(bool with_attribute);
  // The body of a tag whose end is next, and its end tag's name.
  StatusOr<std::string> ParseBlock(Names ends, Body* body);
  Status ExpectTagEnd() { return tokens_.Expect(TokenKind::kBlockEnd, "'%}'"); }
  static Method FindStatement(std::string_view name);

  TokenStream tokens_;
  ExpressionParser expressions_;
  int blocks_ = 0;
  int loops_ = 0;
};

StatusOr<Body> Parser::ParseBody(Names ends) {
  Body body;
  while (!tokens_.Is(TokenKind::kEnd)) {
    if (tokens_.Is(TokenKind::kText)) {
      Statement text;
      text.line = line();
      text.text = tokens_.Next().text;
      body.push_back(std::move(text));
    } else if (tokens_.Is(TokenKind::kOutputBegin)) {
      TANDEM_ASSIGN_OR_RETURN(Statement output, ParseOutput());
      body.push_back(std::move(output));
    } else {
      const std::string& name = tokens_.Peek(1).text;
      if (std::find(ends.begin(), ends.end(), name) != ends.end()) return body;
      TANDEM_ASSIGN_OR_RETURN(Statement statement, ParseTag());
      body.push_back(std::move(statement));
    }
  }
  if (ends.size() == 0) return body;
  return InvalidArgument("'{}' is missing", *(ends.end() - 1));
}

StatusOr<Statement> Parser::ParseOutput() {
  Statement output;
  output.kind = StatementKind::kOutput;
  output.line = line();
  tokens_.Next();
  TANDEM_ASSIGN_OR_RETURN(output.expression, expressions_.ParseTuple());
  TANDEM_RETURN_IF_ERROR(tokens_.Expect(TokenKind::kOutputEnd, "'}}'"));
  return output;
}

Parser::Method Parser::FindStatement(std::string_view name) {
  static constexpr std::pair<std::string_view, Method> kStatements[] = {
      {"if", &Parser::ParseIf},
      {"for", &Parser::ParseFor},
      {"set", &Parser::ParseSet},
      {"macro", &Parser::ParseMacro},
      {"generation", &Parser::ParseGeneration},
      {"break", &Parser::ParseBreak},
      {"continue", &Parser::ParseContinue},
  };
  for (const auto& [known, method] : kStatements) {
    if (known == name) return method;
  }
  return nullptr;
}

StatusOr<Statement> Parser::ParseTag() {
  Statement statement;
  statement.line = line();
  tokens_.Next();
  TANDEM_ASSIGN_OR_RETURN(const std::string name, tokens_.TakeAnyName());
  const Method method = FindStatement(name);
  if (method == nullptr) {
    return InvalidArgument(
        "statement '{}' is not supported here; known are if, for, set, macro, "
        "generation, break, continue",
        name);
  }
  if (++blocks_ > kMaxBlocks) {
    return InvalidArgument("statements nest deeper than {} levels", kMaxBlocks);
  }
  TANDEM_RETURN_IF_ERROR((this->*method)(&statement));
  --blocks_;
  TANDEM_RETURN_IF_ERROR(ExpectTagEnd());
  return statement;
}

StatusOr<std::string> Parser::ParseBlock(Names ends, Body* body) {
  tokens_.TakeOperator(":");  // allowed, as in Python
  TANDEM_RETURN_IF_ERROR(ExpectTagEnd());
  TANDEM_ASSIGN_OR_RETURN(*body, ParseBody(ends));
  tokens_.Next();
  return tokens_.Next().text;
}

Status Parser::ParseIf(Statement* statement) {
  statement->kind = StatementKind::kIf;
  std::string end = "elif";
  while (end == "elif") {
    Branch branch;
    TANDEM_ASSIGN_OR_RETURN(branch.condition, expressions_.ParseTuple(false));
    TANDEM_ASSIGN_OR_RETURN(
        end, ParseBlock({"elif", "else", "endif"}, &branch.body));
    statement->branches.push_back(std::move(branch));
  }
  if (end != "else") return OkStatus();
  Branch otherwise;
  TANDEM_RETURN_IF_ERROR(ParseBlock({"endif"}, &otherwise.body).status());
  statement->branches.push_back(std::move(otherwise));
  return OkStatus();
}

StatusOr<Target> Parser::ParseTarget(bool with_attribute) {
  Target target;
  const bool in_parentheses = tokens_.TakeOperator("(");
  do {
    if (!target.names.empty() && !tokens_.Is(TokenKind::kName)) break;
    TANDEM_ASSIGN_OR_RETURN(std::string name, tokens_.TakeAnyName());
    for (const char* constant :
         {"true", "false", "none", "True", "False", "None"}) {
      if (name == constant) return InvalidArgument("'{}' is a constant", name);
    }
    target.names.push_back(std::move(name));
    target.is_tuple |= tokens_.IsOperator(",");
  } while (tokens_.TakeOperator(","));
  if (in_parentheses) TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
  if (with_attribute && !target.is_tuple && tokens_.TakeOperator(".")) {
    TANDEM_ASSIGN_OR_RETURN(target.attribute, tokens_.TakeAnyName());
  }
  return target;
}

Status Parser::ParseFor(Statement* statement) {
  statement->kind = StatementKind::kFor;
  TANDEM_ASSIGN_OR_RETURN(statement->target, ParseTarget(false));
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectName("in"));
  TANDEM_ASSIGN_OR_RETURN(statement->expression,
                          expressions_.ParseTuple(false));
  if (tokens_.TakeName("if")) {
    TANDEM_ASSIGN_OR_RETURN(statement->condition, expressions_.Parse());
  }
  if (tokens_.IsName("recursive")) {
    return InvalidArgument("a recursive loop is not supported");
  }
  ++loops_;
  TANDEM_ASSIGN_OR_RETURN(const std::string end,
                          ParseBlock({"else", "endfor"}, &statement->body));
  --loops_;
  if (end != "else") return OkStatus();
  return ParseBlock({"endfor"}, &statement->otherwise).status();
}

Status Parser::ParseSet(Statement* statement) {
  TANDEM_ASSIGN_OR_RETURN(statement->target, ParseTarget(true));
  if (tokens_.TakeOperator("=")) {
    statement->kind = StatementKind::kSet;
    TANDEM_ASSIGN_OR_RETURN(statement->expression, expressions_.ParseTuple());
    return OkStatus();
  }
  statement->kind = StatementKind::kSetBlock;
  return ParseBlock({"endset"}, &statement->body).status();
}

Status Parser::ParseParameters(Statement* macro) {
  TANDEM_RETURN_IF_ERROR(tokens_.ExpectOperator("("));
  while (!tokens_.IsOperator(")")) {
    Parameter parameter;
    TANDEM_ASSIGN_OR_RETURN(parameter.name, tokens_.TakeAnyName());
    if (tokens_.TakeOperator("=")) {
      TANDEM_ASSIGN_OR_RETURN(parameter.otherwise, expressions_.Parse());
    } else if (!macro->parameters.empty() &&
               macro->parameters.back().otherwise != nullptr) {
      return InvalidArgument("parameter '{}' needs a default", parameter.name);
    }
    macro->parameters.push_back(std::move(parameter));
    if (!tokens_.TakeOperator(",")) break;
  }
  return tokens_.ExpectOperator(")");
}

Status Parser::ParseMacro(Statement* statement) {
  statement->kind = StatementKind::kMacro;
  TANDEM_ASSIGN_OR_RETURN(std::string name, tokens_.TakeAnyName());
  statement->target.names.push_back(std::move(name));
  TANDEM_RETURN_IF_ERROR(ParseParameters(statement));
  const int loops = std::exchange(loops_, 0);  // its body is in none of them
  TANDEM_RETURN_IF_ERROR(ParseBlock({"endmacro"}, &statement->body).status());
  loops_ = loops;
  return OkStatus();
}

Status Parser::ParseGeneration(Statement* statement) {
  statement->kind = StatementKind::kGeneration;
  const int loops = std::exchange(loops_, 0);
  TANDEM_RETURN_IF_ERROR(
      ParseBlock({"endgeneration"}, &statement->body).status());
  loops_ = loops;
  return OkStatus();
}

Status Parser::ParseBreak(Statement* statement) {
  statement->kind = StatementKind::kBreak;
  return loops_ > 0 ? OkStatus() : InvalidArgument("'break' outside of a loop");
}

Status Parser::ParseContinue(Statement* statement) {
  statement->kind = StatementKind::kContinue;
  return loops_ > 0 ? OkStatus()
                    : InvalidArgument("'continue' outside of a loop");
}

}  // namespace

StatusOr<Body> Parse(std::string_view source) {
  TANDEM_ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  Parser parser(std::move(tokens));
  StatusOr<Body> body = parser.ParseBody({});
  if (body.ok()) return body;
  return Annotate(body.status(), fmt::format("line {}", parser.line()));
}

}  // namespace tandem::jinja
