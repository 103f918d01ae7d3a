#include "model/jinja_text.h"

#include <algorithm>

#include "model/utf8.h"

namespace tandem::jinja {

Text::Text(std::string_view bytes, Origin origin) { Append(bytes, origin); }

size_t Text::RunAt(size_t at) const {
  const auto run =
      std::upper_bound(runs_.begin(), runs_.end(), at,
                       [](size_t a, const Run& b) { return a < b.end; });
  return static_cast<size_t>(run - runs_.begin());
}

Origin Text::OriginAt(size_t at) const { return runs_[RunAt(at)].origin; }

void Text::Append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (runs_.empty() || runs_.back().origin != origin) {
    runs_.push_back({bytes_.size(), origin});
  } else {
    runs_.back().end = bytes_.size();
  }
}

void Text::Append(const Text& other) {
  const std::string_view bytes = other.bytes_;
  size_t begin = 0;
  for (const Run& run : other.runs_) {
    Append(bytes.substr(begin, run.end - begin), run.origin);
    begin = run.end;
  }
}

Text Text::Slice(size_t begin, size_t end) const {
  Text slice;
  const std::string_view bytes = bytes_;
  for (size_t i = RunAt(begin); begin < end; ++i) {
    const size_t stop = std::min(end, runs_[i].end);
    slice.Append(bytes.substr(begin, stop - begin), runs_[i].origin);
    begin = stop;
  }
  return slice;
}

Text Text::Generated() const {
  Text generated;
  const std::string_view bytes = bytes_;
  size_t begin = 0;
  for (const Run& run : runs_) {
    generated.Append(bytes.substr(begin, run.end - begin),
                     {run.origin.source, /*is_generated=*/true});
    begin = run.end;
  }
  return generated;
}

Text Text::WithBytes(char (*change)(char)) const {
  Text changed = *this;
  for (char& byte : changed.bytes_) byte = change(byte);
  return changed;
}

std::vector<size_t> CodePointStarts(std::string_view text) {
  std::vector<size_t> starts;
  starts.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size(); at += DecodeUtf8(text, at).bytes) {
    starts.push_back(at);
  }
  starts.push_back(text.size());
  return starts;
}

size_t CountCodePoints(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += DecodeUtf8(text, at).bytes) {
    ++count;
  }
  return count;
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char byte) {
    return static_cast<unsigned char>(byte) < 0x80;
  });
}

bool IsWhitespace(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 ||
         c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

size_t LeadingWhitespace(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = DecodeUtf8(text, at);
    if (!IsWhitespace(point.value)) break;
    at += point.bytes;
  }
  return at;
}

size_t TrailingWhitespace(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;  // of the last code point
    while (begin > 0 && (text[begin] & 0xc0) == 0x80) --begin;
    const CodePoint point = DecodeUtf8(text, begin);
    if (begin + point.bytes != end || !IsWhitespace(point.value)) break;
    end = begin;
  }
  return text.size() - end;
}

}  // namespace tandem::jinja
