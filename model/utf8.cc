#include "model/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace tandem {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// What a lead byte promises: the length of its sequence and the range of the
// second byte (The Unicode Standard, table 3-7). Length 0: no lead byte.
struct LeadByte {
  size_t length;
  unsigned char second_low = 0x80;
  unsigned char second_high = 0xBF;
};

LeadByte ReadLeadByte(unsigned char byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {0};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // up to U+10FFFF
  return {0};
}

// Where the first byte at or after `at` is that is not ASCII.
size_t SkipAscii(std::string_view text, size_t at) {
  uint64_t eight = 0;
  for (; at + sizeof(eight) <= text.size(); at += sizeof(eight)) {
    std::memcpy(&eight, text.data() + at, sizeof(eight));
    if ((eight & 0x8080808080808080u) != 0) break;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

bool IsValidUtf8(std::string_view text) {
  for (size_t at = SkipAscii(text, 0); at < text.size();) {
    const CodePoint point = DecodeUtf8(text, at);
    if (!point.valid) return false;
    at = SkipAscii(text, at + point.bytes);
  }
  return true;
}

}  // namespace

CodePoint DecodeUtf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(text[at + i]);
  };
  const LeadByte lead = ReadLeadByte(byte(0));
  if (lead.length == 1) return {byte(0), 1, true};
  if (lead.length == 0) return {kReplacement, 1, false};
  char32_t value = byte(0) & (0x7F >> lead.length);
  for (size_t i = 1; i < lead.length; ++i) {
    const unsigned char low = i == 1 ? lead.second_low : 0x80;
    const unsigned char high = i == 1 ? lead.second_high : 0xBF;
    if (at + i >= text.size() || byte(i) < low || byte(i) > high) {
      return {kReplacement, i, false};
    }
    value = value << 6 | (byte(i) & 0x3F);
  }
  return {value, lead.length, true};
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = DecodeUtf8(text, at);
    if (point.valid) {
      valid.append(text.substr(at, point.bytes));
    } else {
      AppendUtf8(kReplacement, &valid);
    }
    at += point.bytes;
  }
  return valid;
}

std::string_view AsValidUtf8(std::string_view text, std::string* storage) {
  if (IsValidUtf8(text)) return text;
  *storage = ReplaceInvalidUtf8(text);
  return *storage;
}

size_t CompleteUtf8Bytes(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const size_t at = text.size() - back;
    const LeadByte lead = ReadLeadByte(static_cast<unsigned char>(text[at]));
    if (lead.length == 0) continue;
    const CodePoint point = DecodeUtf8(text, at);
    const bool cut_short = !point.valid && point.bytes == back;
    return cut_short && lead.length > back ? at : text.size();
  }
  return text.size();
}

void AppendUtf8(char32_t code_point, std::string* text) {
  const auto put = [&](char32_t bits) {
    text->push_back(static_cast<char>(bits));
  };
  if (code_point < 0x80) return put(code_point);
  if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
  } else {
    if (code_point < 0x10000) {
      put(0xE0 | code_point >> 12);
    } else {
      put(0xF0 | code_point >> 18);
      put(0x80 | (code_point >> 12 & 0x3F));
    }
    put(0x80 | (code_point >> 6 & 0x3F));
  }
  put(0x80 | (code_point & 0x3F));
}

}  // namespace tandem
