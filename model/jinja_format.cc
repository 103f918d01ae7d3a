#include "model/jinja_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tandem::jinja {
namespace {

constexpr int64_t kMaxIndent = 16;

std::string ShortestDigits(double value, std::chars_format format) {
  char digits[512];  // 1e-308 in full takes some 330
  const auto result =
      std::to_chars(digits, digits + sizeof(digits), value, format);
  return std::string(digits, result.ptr);
}

// repr(float) for finite numbers.
std::string FormatFloat(double value) {
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-4 || size >= 1e16)) {
    return ShortestDigits(value, std::chars_format::scientific);
  }
  const std::string digits = ShortestDigits(value, std::chars_format::fixed);
  return digits.find('.') == std::string::npos ? digits + ".0" : digits;
}

std::string FormatNumber(const Value& value, const char* infinity,
                         const char* nan) {
  const double* number = value.floating();
  if (number == nullptr) return std::to_string(*value.integer());
  if (std::isnan(*number)) return nan;
  if (std::isinf(*number))
    return fmt::format("{}{}", *number < 0 ? "-" : "", infinity);
  return FormatFloat(*number);
}

// One rendering of nested values; the parts that differ are virtual.
class Formatter {
 public:
  explicit Formatter(Budget* budget) : budget_(budget) {}
  virtual ~Formatter() = default;

  Status Add(const Value& value);
  Text Finish() && { return std::move(text_); }

 protected:
  virtual Status AddAtom(const Value& value) = 0;
  virtual Status AddString(const Text& text) = 0;
  // The brackets of a list or tuple. InvalidArgument for other sequences.
  virtual StatusOr<std::string_view> Brackets(const Sequence& sequence) = 0;
  virtual void AddSeparator(bool is_first) = 0;
  virtual void Close(bool is_empty) = 0;
  virtual std::vector<std::pair<Text, Value>> Entries(const Dict& dict) = 0;

  void AddLiteral(std::string_view bytes) {
    text_.Append(bytes, kFromTemplate);
  }
  // `escape` in place of a byte of `text`, and of its origin.
  void AddEscape(const Text& text, size_t at, std::string_view escape) {
    text_.Append(escape, text.OriginAt(at));
  }

  int level_ = 0;

 private:
  Status AddSequence(const Sequence& sequence);
  Status AddDict(const Dict& dict);

  Budget* budget_;
  Text text_;
};

Status Formatter::Add(const Value& value) {
  TANDEM_RETURN_IF_ERROR(budget_->Spend(kNodeUnits));
  if (const Text* text = value.text()) {
    TANDEM_RETURN_IF_ERROR(budget_->Spend(4 * text->size()));
    return AddString(*text);
  }
  if (const Sequence* sequence = value.sequence()) {
    return AddSequence(*sequence);
  }
  if (const Dict* dict = value.dict()) return AddDict(*dict);
  return AddAtom(value);
}

Status Formatter::AddSequence(const Sequence& sequence) {
  TANDEM_ASSIGN_OR_RETURN(const std::string_view brackets, Brackets(sequence));
  AddLiteral(brackets.substr(0, 1));
  ++level_;
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    AddSeparator(i == 0);
    TANDEM_RETURN_IF_ERROR(Add(sequence.items[i]));
  }
  --level_;
  if (brackets == "()" && sequence.items.size() == 1) AddLiteral(",");
  Close(sequence.items.empty());
  AddLiteral(brackets.substr(1));
  return OkStatus();
}

Status Formatter::AddDict(const Dict& dict) {
  AddLiteral("{");
  ++level_;
  bool is_first = true;
  for (const auto& [key, value] : Entries(dict)) {
    AddSeparator(is_first);
    is_first = false;
    TANDEM_RETURN_IF_ERROR(budget_->Spend(4 * key.size()));
    TANDEM_RETURN_IF_ERROR(AddString(key));
    AddLiteral(": ");
    TANDEM_RETURN_IF_ERROR(Add(value));
  }
  --level_;
  Close(dict.items.empty());
  AddLiteral("}");
  return OkStatus();
}

class PythonFormatter : public Formatter {
 public:
  using Formatter::Formatter;

 protected:
  Status AddAtom(const Value& value) override {
    if (value.IsNone()) {
      AddLiteral("None");
    } else if (const bool* boolean = value.boolean()) {
      AddLiteral(*boolean ? "True" : "False");
    } else if (value.integer() || value.floating() != nullptr) {
      AddLiteral(FormatNumber(value, "inf", "nan"));
    } else if (value.Is<Undefined>()) {
      AddLiteral("Undefined");
    } else {
      return InvalidArgument("a value of type {} has no text",
                             value.TypeName());
    }
    return OkStatus();
  }

  Status AddString(const Text& text) override {
    const std::string& bytes = text.bytes();
    if (!IsAscii(bytes)) {
      return InvalidArgument("printing a list that holds '{}', not ASCII",
                             bytes.substr(0, 40));
    }
    const char quote = bytes.find('\'') != std::string::npos &&
                               bytes.find('"') == std::string::npos
                           ? '"'
                           : '\'';
    AddLiteral(std::string(1, quote));
    for (size_t i = 0; i < bytes.size(); ++i) AddCharacter(text, i, quote);
    AddLiteral(std::string(1, quote));
    return OkStatus();
  }

  StatusOr<std::string_view> Brackets(const Sequence& sequence) override {
    if (sequence.form == SequenceForm::kList) return "[]";
    if (sequence.form == SequenceForm::kTuple) return "()";
    return InvalidArgument("a generator or view has no text; use |list");
  }

  void AddSeparator(bool is_first) override {
    if (!is_first) AddLiteral(", ");
  }
  void Close(bool) override {}
  std::vector<std::pair<Text, Value>> Entries(const Dict& dict) override {
    return dict.items;
  }

 private:
  void AddCharacter(const Text& text, size_t at, char quote) {
    const char c = text.bytes()[at];
    if (c == '\n') return AddEscape(text, at, "\\n");
    if (c == '\r') return AddEscape(text, at, "\\r");
    if (c == '\t') return AddEscape(text, at, "\\t");
    if (c == '\\' || c == quote) {
      return AddEscape(text, at, std::string({'\\', c}));
    }
    if (c < 0x20 || c == 0x7f) {
      return AddEscape(text, at, fmt::format("\\x{:02x}", c));
    }
    AddEscape(text, at, std::string_view(&c, 1));
  }
};

class JsonFormatter : public Formatter {
 public:
  JsonFormatter(const JsonFormat& format, Budget* budget)
      : Formatter(budget), format_(format) {}

 protected:
  Status AddAtom(const Value& value) override {
    if (value.IsNone()) {
      AddLiteral("null");
    } else if (const bool* boolean = value.boolean()) {
      AddLiteral(*boolean ? "true" : "false");
    } else if (value.integer() || value.floating() != nullptr) {
      AddLiteral(FormatNumber(value, "Infinity", "NaN"));
    } else {
      return InvalidArgument("a value of type {} has no JSON",
                             value.TypeName());
    }
    return OkStatus();
  }

  Status AddString(const Text& text) override {
    AddLiteral("\"");
    for (size_t i = 0; i < text.size(); ++i) AddCharacter(text, i);
    AddLiteral("\"");
    return OkStatus();
  }

  StatusOr<std::string_view> Brackets(const Sequence& sequence) override {
    if (sequence.form == SequenceForm::kList ||
        sequence.form == SequenceForm::kTuple) {
      return "[]";
    }
    return InvalidArgument("a generator or view has no JSON; use |list");
  }

  void AddSeparator(bool is_first) override {
    if (!is_first) AddLiteral(format_.indent ? "," : ", ");
    AddLineBreak();
  }
  void Close(bool is_empty) override {
    if (!is_empty) AddLineBreak();
  }
  std::vector<std::pair<Text, Value>> Entries(const Dict& dict) override {
    std::vector<std::pair<Text, Value>> entries = dict.items;
    if (format_.sort_keys) {
      std::sort(entries.begin(), entries.end(),
                [](const auto& a, const auto& b) {
                  return a.first.bytes() < b.first.bytes();
                });
    }
    return entries;
  }

 private:
  void AddLineBreak() {
    if (!format_.indent) return;
    const auto spaces = static_cast<size_t>(*format_.indent * level_);
    AddLiteral(fmt::format("\n{:{}}", "", spaces));
  }

  void AddCharacter(const Text& text, size_t at) {
    const char c = text.bytes()[at];
    constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
    constexpr std::string_view kLetters = "\"\\nrtfb";
    const size_t escape = kEscaped.find(c);
    if (escape != std::string_view::npos) {
      return AddEscape(text, at, std::string({'\\', kLetters[escape]}));
    }
    if (c >= 0 && c < 0x20) {
      return AddEscape(text, at, fmt::format("\\u{:04x}", c));
    }
    AddEscape(text, at, std::string_view(&c, 1));
  }

  JsonFormat format_;
};

}  // namespace

StatusOr<Text> ToText(const Value& value, Budget* budget) {
  if (value.Is<Undefined>()) return Text();
  if (const Text* text = value.text()) {
    TANDEM_RETURN_IF_ERROR(budget->Spend(text->size()));
    return *text;
  }
  PythonFormatter formatter(budget);
  TANDEM_RETURN_IF_ERROR(formatter.Add(value));
  return std::move(formatter).Finish();
}

StatusOr<Text> ToJson(const Value& value, const JsonFormat& format,
                      Budget* budget) {
  if (format.indent && (*format.indent < 0 || *format.indent > kMaxIndent)) {
    return InvalidArgument("indent is {}, expected 0 to {}", *format.indent,
                           kMaxIndent);
  }
  JsonFormatter formatter(format, budget);
  TANDEM_RETURN_IF_ERROR(formatter.Add(value));
  return std::move(formatter).Finish();
}

}  // namespace tandem::jinja
