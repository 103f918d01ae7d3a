// CRC-32C (Castagnoli), as RFC 3720 has it.
#ifndef TANDEM_COMMON_CRC32C_H_
#define TANDEM_COMMON_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace tandem {

// Crc32c("123456789") is 0xe3069283.
uint32_t Crc32c(std::string_view bytes);

}  // namespace tandem

#endif  // TANDEM_COMMON_CRC32C_H_
