#include "model/byte_alphabet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace tandem {
namespace {

TEST(ByteAlphabetTest, IsThatOfGpt2) {
  EXPECT_EQ(PrintableByte('A'), "A");
  EXPECT_EQ(PrintableByte('~'), "~");
  EXPECT_EQ(PrintableByte(' '), "Ġ");
  EXPECT_EQ(PrintableByte('\n'), "Ċ");
  EXPECT_EQ(PrintableByte('\t'), "ĉ");
  EXPECT_EQ(PrintableByte(0x00), "Ā");
  EXPECT_EQ(PrintableByte(0x7F), "ġ");
  EXPECT_EQ(PrintableByte(0xA0), "ł");
  EXPECT_EQ(PrintableByte(0xAD), "Ń");
  EXPECT_EQ(PrintableByte(0xFF), "ÿ");
}

TEST(ByteAlphabetTest, StandsForEveryByteOnce) {
  std::set<std::string> seen;
  std::string all, printable;
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_TRUE(seen.insert(PrintableByte(byte)).second) << byte;
    all.push_back(static_cast<char>(byte));
    printable += PrintableByte(byte);
  }
  EXPECT_EQ(BytesFromPrintable(printable), all);
}

TEST(ByteAlphabetTest, RefusesWhatIsNotInIt) {
  EXPECT_EQ(BytesFromPrintable("a b"), std::nullopt);
  EXPECT_EQ(BytesFromPrintable("✓"), std::nullopt);
  EXPECT_EQ(BytesFromPrintable("\u0144"), std::nullopt);  // one past the last
  EXPECT_EQ(BytesFromPrintable("\xC4"), std::nullopt);
}

}  // namespace
}  // namespace tandem
