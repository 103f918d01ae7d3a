// SentencePiece's tokens for single bytes: "<0x00>" to "<0xFF>".
#ifndef TANDEM_MODEL_BYTE_TOKEN_H_
#define TANDEM_MODEL_BYTE_TOKEN_H_

#include <optional>
#include <string>
#include <string_view>

namespace tandem {

std::string ByteTokenText(unsigned char byte);

// Nothing where `text` is no such token.
std::optional<unsigned char> ByteOfToken(std::string_view text);

}  // namespace tandem

#endif  // TANDEM_MODEL_BYTE_TOKEN_H_
