// Text that remembers which of its bytes the template wrote and which it was
// given, through every slice and join: what a user typed is never mistaken for
// the template's own markers.
#ifndef TANDEM_MODEL_JINJA_TEXT_H_
#define TANDEM_MODEL_JINJA_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::jinja {

struct Origin {
  int32_t source = 0;         // 0: the template; all others the caller chooses
  bool is_generated = false;  // written within {% generation %}
  bool operator==(const Origin&) const = default;
};
constexpr Origin kFromTemplate = {};

// UTF-8; positions are bytes unless a name says otherwise.
class Text {
 public:
  // Bytes up to `end`, from the end of the run before.
  struct Run {
    size_t end = 0;
    Origin origin;
    bool operator==(const Run&) const = default;
  };

  Text() = default;
  explicit Text(std::string_view bytes, Origin origin = kFromTemplate);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Neighbours differ in origin; none is empty.
  const std::vector<Run>& runs() const { return runs_; }
  // REQUIRES: at < size().
  Origin OriginAt(size_t at) const;

  void Append(const Text& other);
  void Append(std::string_view bytes, Origin origin);
  // REQUIRES: begin <= end <= size().
  Text Slice(size_t begin, size_t end) const;
  // The same, all of it generated.
  Text Generated() const;
  // Bytes one by one through `change`, with their origins.
  Text WithBytes(char (*change)(char)) const;

 private:
  // The run that holds byte `at`.
  size_t RunAt(size_t at) const;

  std::string bytes_;
  std::vector<Run> runs_;
};

// Where each code point begins, and, last, where the text ends.
std::vector<size_t> CodePointStarts(std::string_view text);
size_t CountCodePoints(std::string_view text);
bool IsAscii(std::string_view text);

// What Python's str.isspace() says.
bool IsWhitespace(char32_t code_point);
// The number of bytes that str.lstrip() and str.rstrip() remove.
size_t LeadingWhitespace(std::string_view text);
size_t TrailingWhitespace(std::string_view text);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_TEXT_H_
