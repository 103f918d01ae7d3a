// What each id decodes to, in one block of memory.
#ifndef TANDEM_MODEL_TOKEN_TEXTS_H_
#define TANDEM_MODEL_TOKEN_TEXTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer_data.h"

namespace tandem {

class TokenTexts {
 public:
  TokenTexts() = default;
  explicit TokenTexts(const TokenizerData& data);

  // REQUIRES: 0 <= id < data.tokens.size().
  std::string_view operator[](int32_t id) const {
    return std::string_view(bytes_).substr(begins_[id],
                                           begins_[id + 1] - begins_[id]);
  }

 private:
  std::string bytes_;
  std::vector<size_t> begins_;  // one more than tokens
};

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKEN_TEXTS_H_
