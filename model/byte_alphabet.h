// GPT-2's printable alphabet for bytes, in which vocabularies of byte-level BPE
// are written: byte 0x20 is "Ġ" (U+0120), and so on.
#ifndef TANDEM_MODEL_BYTE_ALPHABET_H_
#define TANDEM_MODEL_BYTE_ALPHABET_H_

#include <optional>
#include <string>
#include <string_view>

namespace tandem {

// The UTF-8 text of the character that stands for `byte`.
const std::string& PrintableByte(unsigned char byte);

// The bytes that `printable` stands for; nothing if it holds a character that
// is not in the alphabet, or no UTF-8.
std::optional<std::string> BytesFromPrintable(std::string_view printable);

}  // namespace tandem

#endif  // TANDEM_MODEL_BYTE_ALPHABET_H_
