// The regular expressions of five tokenizers, written out as scanners.
//
// GPT-2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)
// and, where a run of spaces before a word was cut off, |\s+.
#include "model/pre_tokenizer.h"

#include <spdlog/fmt/ranges.h>

#include <array>
#include <utility>
#include <vector>

#include "model/unicode_class.h"
#include "model/utf8.h"

namespace tandem {
namespace {

constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr PreTokenizerKind kKinds[] = {
    {"gpt-2", "", false, 0, false, false},
    {"olmo", "", false, 0, false, true},
    {"smollm", "", true, 0, false, false},
    {"llama-bpe", kLlama3Pattern, false, 3, true, false},
    {"qwen2", kQwen2Pattern, false, 1, false, true},
};

// Other names that GGUF files have for the same.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"phi-2", "gpt-2"},      {"llama3", "llama-bpe"}, {"llama-v3", "llama-bpe"},
    {"starcoder", "smollm"}, {"refact", "smollm"},
};

constexpr bool IsNewline(char c) { return c == '\r' || c == '\n'; }

constexpr std::array<UnicodeClass, 128> MakeAsciiClasses() {
  std::array<UnicodeClass, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    const bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    const bool is_number = c >= '0' && c <= '9';
    const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
    classes[c] = is_letter   ? UnicodeClass::kLetter
                 : is_number ? UnicodeClass::kNumber
                 : is_space  ? UnicodeClass::kSpace
                             : UnicodeClass::kOther;
  }
  return classes;
}

constexpr std::array<UnicodeClass, 128> kAsciiClasses = MakeAsciiClasses();

// Walks over characters by their class.
class ClassReader {
 public:
  explicit ClassReader(std::string_view text) : text_(text) {}

  struct Character {
    UnicodeClass kind;
    size_t end;  // where the next one begins
  };
  // REQUIRES: at < size.
  Character At(size_t at) const {
    const auto byte = static_cast<unsigned char>(text_[at]);
    if (byte < 0x80) return {kAsciiClasses[byte], at + 1};
    const CodePoint point = DecodeValidUtf8(text_, at);
    return {ClassOf(point.value), at + point.bytes};
  }
  bool Is(size_t at, UnicodeClass kind) const {
    return at < text_.size() && At(at).kind == kind;
  }
  // Where the run of `kind` ends that may begin at `at`.
  size_t RunEnd(size_t at, UnicodeClass kind, int64_t max = INT64_MAX) const {
    for (; at < text_.size() && max > 0; --max) {
      const Character c = At(at);
      if (c.kind != kind) break;
      at = c.end;
    }
    return at;
  }
  size_t SkipNewlines(size_t at) const {
    while (at < text_.size() && IsNewline(text_[at])) ++at;
    return at;
  }

  std::string_view text_;
};

// 's 't 'm 'd 're 've 'll: their bytes, or 0. U+017F is an s to a pattern that
// ignores case.
size_t ContractionBytes(std::string_view text, size_t at, bool ignore_case) {
  if (text[at] != '\'') return 0;
  const auto letter = [&](size_t i) -> char {
    if (at + i >= text.size()) return '\0';
    const char c = text[at + i];
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20)
                                               : c;
  };
  const char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  if (ignore_case && text.substr(at + 1).starts_with("\u017F")) return 3;
  return 0;
}

// \s+(?!\S)|\s+: a run of spaces leaves its last to what follows, unless it is
// the only one. `ends_at_number`: a number is like the end of the text.
size_t SpacesEnd(const ClassReader& reader, size_t at, bool ends_at_number) {
  size_t last = at;
  size_t end = at;
  while (end < reader.text_.size()) {
    const auto c = reader.At(end);
    if (c.kind == UnicodeClass::kNumber && ends_at_number) return end;
    if (c.kind != UnicodeClass::kSpace) return last > at ? last : end;
    last = end;
    end = c.end;
  }
  return end;
}

size_t Gpt2PieceEnd(std::string_view text, size_t at, bool digits_alone) {
  const ClassReader reader(text);
  const auto first = reader.At(at);
  if (digits_alone && first.kind == UnicodeClass::kNumber) return first.end;
  if (const size_t bytes = ContractionBytes(text, at, false)) return at + bytes;
  auto word = first;
  if (text[at] == ' ' && at + 1 < text.size()) word = reader.At(at + 1);
  const bool is_word = word.kind != UnicodeClass::kSpace &&
                       !(digits_alone && word.kind == UnicodeClass::kNumber);
  if (is_word) return reader.RunEnd(word.end, word.kind);
  return SpacesEnd(reader, at, digits_alone);
}

// \s*[\r\n]+, else what SpacesEnd takes. REQUIRES: a space is at `at`.
size_t LinesOrSpacesEnd(const ClassReader& reader, size_t at) {
  size_t end = reader.RunEnd(at, UnicodeClass::kSpace);
  while (end > at && !IsNewline(reader.text_[end - 1])) --end;
  return end > at ? end : SpacesEnd(reader, at, false);
}

size_t Llama3PieceEnd(std::string_view text, size_t at, int max_digits) {
  const ClassReader reader(text);
  if (const size_t bytes = ContractionBytes(text, at, true)) return at + bytes;
  const auto first = reader.At(at);
  if (first.kind == UnicodeClass::kLetter) {
    return reader.RunEnd(first.end, UnicodeClass::kLetter);
  }
  if (first.kind == UnicodeClass::kNumber) {
    return reader.RunEnd(at, UnicodeClass::kNumber, max_digits);
  }
  if (!IsNewline(text[at]) && reader.Is(first.end, UnicodeClass::kLetter)) {
    return reader.RunEnd(first.end, UnicodeClass::kLetter);
  }
  const size_t symbols = at + (text[at] == ' ' ? 1 : 0);
  if (reader.Is(symbols, UnicodeClass::kOther)) {
    return reader.SkipNewlines(reader.RunEnd(symbols, UnicodeClass::kOther));
  }
  return LinesOrSpacesEnd(reader, at);
}

}  // namespace

std::span<const PreTokenizerKind> PreTokenizerKinds() { return kKinds; }

StatusOr<const PreTokenizerKind*> FindPreTokenizerKind(std::string_view name) {
  std::string_view canonical = name;
  for (const auto& [alias, kind] : kAliases) {
    if (alias == name) canonical = kind;
  }
  std::vector<std::string_view> known;
  known.reserve(std::size(kKinds));
  for (const PreTokenizerKind& kind : kKinds) {
    if (kind.name == canonical) return &kind;
    known.push_back(kind.name);
  }
  return InvalidArgument("unknown pre-tokenizer '{}'; known are {}", name,
                         fmt::join(known, ", "));
}

StatusOr<PreTokenizer> PreTokenizer::Create(std::string_view name) {
  PreTokenizer pre_tokenizer;
  TANDEM_ASSIGN_OR_RETURN(pre_tokenizer.kind_, FindPreTokenizerKind(name));
  return pre_tokenizer;
}

size_t PreTokenizer::PieceEnd(std::string_view text, size_t at) const {
  return kind_->split_pattern.empty()
             ? Gpt2PieceEnd(text, at, kind_->digits_alone)
             : Llama3PieceEnd(text, at, kind_->max_digits);
}

}  // namespace tandem
