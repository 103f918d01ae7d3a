#include "model/utf8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem {
namespace {

const std::string kBad = "\xEF\xBF\xBD";  // U+FFFD

TEST(Utf8Test, WritesAndReadsEveryLength) {
  for (char32_t point : {0x0, 0x41, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000,
                         0xFFFF, 0x10000, 0x1F600, 0x10FFFF}) {
    std::string text = "x";
    AppendUtf8(point, &text);
    const CodePoint read = DecodeUtf8(text, 1);
    EXPECT_TRUE(read.valid) << static_cast<uint32_t>(point);
    EXPECT_EQ(static_cast<uint32_t>(read.value), static_cast<uint32_t>(point));
    EXPECT_EQ(read.bytes, text.size() - 1);
  }
}

TEST(Utf8Test, LeavesValidTextAlone) {
  std::string text(1, '\0');
  text += "é✓😀\r\n\t\xEF\xBF\xBF";
  EXPECT_EQ(ReplaceInvalidUtf8(text), text);
  EXPECT_EQ(ReplaceInvalidUtf8(""), "");
}

// Expected values are those of Python 3.11: bytes.decode("utf-8", "replace").
TEST(Utf8Test, ReplacesAsPythonDoes) {
  const std::pair<std::string, std::string> cases[] = {
      {"\x80", kBad},
      {"a\xFF\xFE z", "a" + kBad + kBad + " z"},
      {"\xC0\xAF", kBad + kBad},             // overlong
      {"\xE0\x80\xAF", kBad + kBad + kBad},  // overlong
      {"\xE2\x82", kBad},                    // cut off at the end
      {"\xE2\x82z", kBad + "z"},             // cut off by a letter
      {"\xED\xA0\x80", kBad + kBad + kBad},  // a lone surrogate
      {"\xF0\x9F\x98", kBad},                // three of four bytes
      {"\xF0\x9F\x98\xF0\x9F\x98\x80", kBad + "😀"},
      {"\xF4\x90\x80\x80", kBad + kBad + kBad + kBad},  // past U+10FFFF
      {"\xF5\x80", kBad + kBad},
      {"\xF1\x80\x80\x41", kBad + "A"},
      {"\xC2\xC2\xA9", kBad + "©"},
  };
  for (const auto& [bytes, expected] : cases) {
    EXPECT_EQ(ReplaceInvalidUtf8(bytes), expected);
  }
}

}  // namespace
}  // namespace tandem
