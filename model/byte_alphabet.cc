#include "model/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "model/utf8.h"

namespace tandem {
namespace {

// Bytes that are printable in Latin-1 stand for themselves; the others take
// U+0100 and up, in order: 188 of the first kind and 68 of the second.
constexpr char32_t kFirstStandIn = 0x100;
constexpr size_t kStandIns = 68;

constexpr bool IsPrintable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct Alphabet {
  std::array<std::string, 256> text;
  std::array<int16_t, kFirstStandIn + kStandIns> byte;  // -1: none
};

Alphabet MakeAlphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  char32_t next_stand_in = kFirstStandIn;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t point = IsPrintable(byte) ? byte : next_stand_in++;
    AppendUtf8(point, &alphabet.text[byte]);
    alphabet.byte[point] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

const Alphabet& GetAlphabet() {
  static const Alphabet alphabet = MakeAlphabet();
  return alphabet;
}

}  // namespace

const std::string& PrintableByte(unsigned char byte) {
  return GetAlphabet().text[byte];
}

std::optional<std::string> BytesFromPrintable(std::string_view printable) {
  const auto& byte_of = GetAlphabet().byte;
  std::string bytes;
  for (size_t at = 0; at < printable.size();) {
    const CodePoint point = DecodeUtf8(printable, at);
    if (!point.valid || point.value >= byte_of.size()) return std::nullopt;
    if (byte_of[point.value] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte_of[point.value]));
    at += point.bytes;
  }
  return bytes;
}

}  // namespace tandem
