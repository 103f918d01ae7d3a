// The most memory that this process has held.
#ifndef TANDEM_COMMON_PEAK_MEMORY_H_
#define TANDEM_COMMON_PEAK_MEMORY_H_

#include <cstdint>

namespace tandem {

// Peak resident set of the whole process so far, in bytes; mapped files count
// as far as they were touched. 0 where the system does not say.
int64_t PeakRssBytes();

}  // namespace tandem

#endif  // TANDEM_COMMON_PEAK_MEMORY_H_
