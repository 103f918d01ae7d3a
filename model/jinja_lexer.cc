#include "model/jinja_lexer.h"

#include <algorithm>

#include "model/jinja_string_literal.h"
#include "model/jinja_text.h"

namespace tandem::jinja {
namespace {

constexpr size_t kMaxSourceBytes = size_t{1} << 20;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameCharacter(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         c == '_';
}

// One kind of line end, and none at the very end.
std::string NormalizeLines(std::string_view source) {
  std::string lines;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      lines += '\n';
      if (source.substr(i + 1).starts_with('\n')) ++i;
    } else {
      lines += source[i];
    }
  }
  if (lines.ends_with('\n')) lines.pop_back();
  return lines;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  StatusOr<std::vector<Token>> Run();
  int line() const { return line_; }

 private:
  std::string_view Rest() const { return source_.substr(at_); }
  void Advance(size_t bytes);
  void Add(TokenKind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  void AddText(std::string_view text, char tag, char sign);
  Status SkipComment();
  Status ReadTag(TokenKind begin, TokenKind end);
  // Reads the tag's end if it is here.
  bool ReadTagEnd(TokenKind end);
  // After "-%}", "+%}" or "%}", by its sign.
  void SkipAfterTag(char sign, bool trims_line);
  Status ReadToken();
  Status ReadString();
  void ReadNumber();
  size_t DigitsAt(size_t at) const;
  Status ReadOperator();
  Status CheckBalance(char symbol);

  std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // what came last ended a line
  std::string open_;         // closing brackets that are still to come
  std::vector<Token> tokens_;
};

void Lexer::Advance(size_t bytes) {
  const std::string_view passed = source_.substr(at_, bytes);
  line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
  at_ += bytes;
}

StatusOr<std::vector<Token>> Lexer::Run() {
  while (at_ < source_.size()) {
    size_t tag = source_.find('{', at_);
    while (tag != std::string_view::npos &&
           (tag + 1 == source_.size() ||
            std::string_view("{%#").find(source_[tag + 1]) ==
                std::string_view::npos)) {
      tag = source_.find('{', tag + 1);
    }
    if (tag == std::string_view::npos) {
      Add(TokenKind::kText, std::string(Rest()));
      break;
    }
    const char kind = source_[tag + 1];
    const char next = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    const char sign = next == '-' || next == '+' ? next : ' ';
    AddText(source_.substr(at_, tag - at_), kind, sign);
    Advance(tag - at_ + (sign == ' ' ? 2 : 3));
    TANDEM_RETURN_IF_ERROR(
        kind == '#'   ? SkipComment()
        : kind == '{' ? ReadTag(TokenKind::kOutputBegin, TokenKind::kOutputEnd)
                      : ReadTag(TokenKind::kBlockBegin, TokenKind::kBlockEnd));
  }
  Add(TokenKind::kEnd, "the end of the template");
  return std::move(tokens_);
}

// The text before a tag, without what the tag's sign or lstrip_blocks take.
void Lexer::AddText(std::string_view text, char tag, char sign) {
  if (sign == '-') {
    text.remove_suffix(TrailingWhitespace(text));
  } else if (sign != '+' && tag != '{') {
    const size_t line = text.rfind('\n') + 1;  // 0 without one
    const std::string_view indent = text.substr(line);
    if ((line > 0 || line_starts_) &&
        LeadingWhitespace(indent) == indent.size()) {
      text = text.substr(0, line);
    }
  }
  if (!text.empty()) Add(TokenKind::kText, std::string(text));
}

void Lexer::SkipAfterTag(char sign, bool trims_line) {
  size_t skipped = 0;
  if (sign == '-') {
    skipped = LeadingWhitespace(Rest());
  } else if (sign != '+' && trims_line && Rest().starts_with('\n')) {
    skipped = 1;
  }
  Advance(skipped);
  line_starts_ = skipped > 0 && source_[at_ - 1] == '\n';
}

Status Lexer::SkipComment() {
  const size_t end = source_.find("#}", at_);
  if (end == std::string_view::npos) {
    return InvalidArgument("a comment has no end");
  }
  const char sign = end > at_ ? source_[end - 1] : ' ';
  Advance(end + 2 - at_);
  SkipAfterTag(sign, /*trims_line=*/true);
  return OkStatus();
}

Status Lexer::ReadTag(TokenKind begin, TokenKind end) {
  Add(begin, begin == TokenKind::kOutputBegin ? "{{" : "{%");
  while (true) {
    Advance(LeadingWhitespace(Rest()));
    if (at_ >= source_.size()) return InvalidArgument("a tag has no end");
    if (open_.empty() && ReadTagEnd(end)) return OkStatus();
    TANDEM_RETURN_IF_ERROR(ReadToken());
  }
}

bool Lexer::ReadTagEnd(TokenKind end) {
  const bool is_block = end == TokenKind::kBlockEnd;
  const std::string_view closing = is_block ? "%}" : "}}";
  const char sign = Rest()[0];
  const bool has_sign = sign == '-' || (is_block && sign == '+');
  if (!Rest().substr(has_sign ? 1 : 0).starts_with(closing)) return false;
  Add(end, std::string(closing));
  Advance(has_sign ? 3 : 2);
  SkipAfterTag(has_sign ? sign : ' ', /*trims_line=*/is_block);
  return true;
}

Status Lexer::ReadToken() {
  const char c = Rest()[0];
  if (c == '\'' || c == '"') return ReadString();
  if (IsDigit(c)) {
    ReadNumber();
    return OkStatus();
  }
  if (!IsNameCharacter(c)) return ReadOperator();
  size_t end = at_;
  while (end < source_.size() && IsNameCharacter(source_[end])) ++end;
  Add(TokenKind::kName, std::string(source_.substr(at_, end - at_)));
  Advance(end - at_);
  return OkStatus();
}

Status Lexer::ReadString() {
  size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != source_[at_]) {
    end += source_[end] == '\\' ? 2 : 1;
  }
  if (end >= source_.size()) return InvalidArgument("a string has no end");
  TANDEM_ASSIGN_OR_RETURN(std::string text,
                          ReadEscapes(source_.substr(at_ + 1, end - at_ - 1)));
  Add(TokenKind::kString, std::move(text));
  Advance(end + 1 - at_);
  return OkStatus();
}

// How many digits and underscores stand at source_[at].
size_t Lexer::DigitsAt(size_t at) const {
  size_t end = at;
  while (end < source_.size() &&
         (IsDigit(source_[end]) || (source_[end] == '_' && end > at))) {
    ++end;
  }
  return end - at;
}

void Lexer::ReadNumber() {
  size_t end = at_ + DigitsAt(at_);
  bool is_float = false;
  const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
  const auto byte = [&](size_t i) {
    return i < source_.size() ? source_[i] : ' ';
  };
  if (!after_dot && byte(end) == '.' && IsDigit(byte(end + 1))) {
    is_float = true;
    end += 1 + DigitsAt(end + 1);
  }
  const size_t signs = byte(end + 1) == '+' || byte(end + 1) == '-' ? 1 : 0;
  if (!after_dot && (byte(end) == 'e' || byte(end) == 'E') &&
      IsDigit(byte(end + 1 + signs))) {
    is_float = true;
    end += 1 + signs + DigitsAt(end + 1 + signs);
  }
  std::string digits(source_.substr(at_, end - at_));
  std::erase(digits, '_');
  Add(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::move(digits));
  Advance(end - at_);
}

Status Lexer::ReadOperator() {
  constexpr std::string_view kOperators[] = {
      "==", "!=", ">=", "<=", "//", "**", "+", "-", "/", "*", "%", "~", "[",
      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};
  for (std::string_view symbol : kOperators) {
    if (!Rest().starts_with(symbol)) continue;
    if (symbol.size() == 1) TANDEM_RETURN_IF_ERROR(CheckBalance(symbol[0]));
    Add(TokenKind::kOperator, std::string(symbol));
    Advance(symbol.size());
    return OkStatus();
  }
  return InvalidArgument("unexpected character '{}'", Rest().substr(0, 1));
}

Status Lexer::CheckBalance(char symbol) {
  constexpr std::string_view kOpening = "([{", kClosing = ")]}";
  if (const size_t pair = kOpening.find(symbol); pair != kOpening.npos) {
    open_ += kClosing[pair];
  } else if (kClosing.find(symbol) != kClosing.npos) {
    if (open_.empty() || open_.back() != symbol) {
      return InvalidArgument("unexpected '{}'", symbol);
    }
    open_.pop_back();
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::vector<Token>> Tokenize(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return InvalidArgument("the template has {} bytes, more than {}",
                           source.size(), kMaxSourceBytes);
  }
  const std::string lines = NormalizeLines(source);
  Lexer lexer(lines);
  StatusOr<std::vector<Token>> tokens = lexer.Run();
  if (tokens.ok()) return tokens;
  return Annotate(tokens.status(), fmt::format("line {}", lexer.line()));
}

}  // namespace tandem::jinja
