// Ids to text as they come, whole characters at a time.
#ifndef TANDEM_MODEL_DETOKENIZER_H_
#define TANDEM_MODEL_DETOKENIZER_H_

#include <cstdint>
#include <string>

#include "model/tokenizer.h"

namespace tandem {

// What Push and Finish return is, put together, the Decode of all ids, with
// U+FFFD for what is no UTF-8.
class Detokenizer {
 public:
  explicit Detokenizer(Tokenizer tokenizer, bool with_special = false);

  // The text that is complete with this id; it may be empty. A character whose
  // bytes are spread over several ids comes with its last.
  std::string Push(int32_t id);
  // U+FFFD where the last character never became complete, else empty. The
  // object is then as new.
  std::string Finish();

 private:
  Tokenizer tokenizer_;
  bool with_special_;
  bool at_start_ = true;  // of the text: a space before it may be left out
  std::string pending_;   // the bytes of a character so far
};

}  // namespace tandem

#endif  // TANDEM_MODEL_DETOKENIZER_H_
