#include "model/byte_token.h"

namespace tandem {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

}  // namespace

std::string ByteTokenText(unsigned char byte) {
  std::string text = "<0x__>";
  text[3] = kHexDigits[byte >> 4];
  text[4] = kHexDigits[byte & 15];
  return text;
}

std::optional<unsigned char> ByteOfToken(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') {
    return std::nullopt;
  }
  const size_t high = kHexDigits.find(text[3]);
  const size_t low = kHexDigits.find(text[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) {
    return std::nullopt;
  }
  return static_cast<unsigned char>(high << 4 | low);
}

}  // namespace tandem
