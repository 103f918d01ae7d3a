// Unicode's normalisation form C (Unicode Standard Annex 15).
#ifndef TANDEM_MODEL_UNICODE_NORMALIZATION_H_
#define TANDEM_MODEL_UNICODE_NORMALIZATION_H_

#include <string>
#include <string_view>

namespace tandem {

// `text` itself where it is in form C for certain, else *storage, which becomes
// its form C. REQUIRES: valid UTF-8.
std::string_view AsNfc(std::string_view text, std::string* storage);

}  // namespace tandem

#endif  // TANDEM_MODEL_UNICODE_NORMALIZATION_H_
