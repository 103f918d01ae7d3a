#include "model/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <spdlog/fmt/ranges.h>

#include <map>
#include <stdexcept>

namespace tandem {
namespace {

// White space as Unicode defines it. PCRE2's own \s also takes U+180E, which
// neither Hugging Face nor llama.cpp do.
#define TANDEM_SPACE                                          \
  R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A})" \
  R"(\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})"

// GPT-2's pattern, with the last alternative that Hugging Face adds: the one
// space that is left before a word when the run before it was cut off.
constexpr char kGpt2[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+)"
                         R"(| ?[^\p{L}\p{N})" TANDEM_SPACE R"(]+)"
                         R"(|[)" TANDEM_SPACE R"(]+(?![^)" TANDEM_SPACE R"(]))"
                         R"(|[)" TANDEM_SPACE R"(]+)";
constexpr char kEveryDigit[] = R"(\p{N})";
#undef TANDEM_SPACE

const std::map<std::string, std::vector<std::string>>& KnownPatterns() {
  static const std::map<std::string, std::vector<std::string>> known = {
      {"gpt-2", {kGpt2}},
      {"smollm", {kEveryDigit, kGpt2}},
  };
  return known;
}

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

std::string ErrorText(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct PreTokenizer::Pattern {
  explicit Pattern(pcre2_code* compiled) : code(compiled) {}
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() { pcre2_code_free(code); }

  static StatusOr<std::shared_ptr<const Pattern>> Compile(
      const std::string& source);
  // Appends matches, and what lies between them, as pieces.
  void Split(std::string_view text,
             std::vector<std::string_view>* pieces) const;

  pcre2_code* code;
};

StatusOr<std::shared_ptr<const PreTokenizer::Pattern>>
PreTokenizer::Pattern::Compile(const std::string& source) {
  int error = 0;
  size_t error_at = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                    PCRE2_UTF | PCRE2_UCP, &error, &error_at, nullptr);
  if (code == nullptr) {
    return Internal("pre-tokenizer pattern '{}', character {}: {}", source,
                    error_at, ErrorText(error));
  }
  // Where there is no JIT compiler, pcre2_match interprets.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return std::make_shared<const Pattern>(code);
}

void PreTokenizer::Pattern::Split(std::string_view text,
                                  std::vector<std::string_view>* pieces) const {
  const std::unique_ptr<pcre2_match_data, FreeMatchData> match(
      pcre2_match_data_create_from_pattern(code, nullptr));
  if (match == nullptr) throw std::bad_alloc();
  const size_t* bounds = pcre2_get_ovector_pointer(match.get());
  size_t done = 0;
  while (done < text.size()) {
    // Checking the whole text's UTF-8 on every call would be quadratic.
    const int found = pcre2_match(
        code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), done,
        PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      throw std::runtime_error("pre-tokenizer: " + ErrorText(found));
    }
    if (bounds[0] > done)
      pieces->push_back(text.substr(done, bounds[0] - done));
    pieces->push_back(text.substr(bounds[0], bounds[1] - bounds[0]));
    done = bounds[1];
  }
  if (done < text.size()) pieces->push_back(text.substr(done));
}

StatusOr<PreTokenizer> PreTokenizer::Create(const std::string& name) {
  const auto found = KnownPatterns().find(name);
  if (found == KnownPatterns().end()) {
    std::vector<std::string> names;
    for (const auto& known : KnownPatterns()) names.push_back(known.first);
    return InvalidArgument("unknown pre-tokenizer '{}'; known are {}", name,
                           fmt::join(names, ", "));
  }
  PreTokenizer pre_tokenizer;
  for (const std::string& source : found->second) {
    TANDEM_ASSIGN_OR_RETURN(auto pattern, Pattern::Compile(source));
    pre_tokenizer.patterns_.push_back(std::move(pattern));
  }
  return pre_tokenizer;
}

std::vector<std::string_view> PreTokenizer::Split(std::string_view text) const {
  std::vector<std::string_view> pieces = {text};
  for (const auto& pattern : patterns_) {
    std::vector<std::string_view> smaller;
    for (std::string_view piece : pieces) pattern->Split(piece, &smaller);
    pieces = std::move(smaller);
  }
  return pieces;
}

}  // namespace tandem
