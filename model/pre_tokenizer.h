// Cuts text into the pieces that byte-pair encoding never merges across.
#ifndef TANDEM_MODEL_PRE_TOKENIZER_H_
#define TANDEM_MODEL_PRE_TOKENIZER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tandem {

// Immutable and thread-safe; copies share the compiled patterns.
class PreTokenizer {
 public:
  // GGUF's names: "gpt-2", "smollm". InvalidArgument for any other; the message
  // lists the known ones.
  static StatusOr<PreTokenizer> Create(const std::string& name);

  // Views into `text`, in order, that together are all of it.
  // REQUIRES: text is valid UTF-8.
  std::vector<std::string_view> Split(std::string_view text) const;

 private:
  struct Pattern;
  // Each cuts the pieces that the one before left.
  std::vector<std::shared_ptr<const Pattern>> patterns_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_PRE_TOKENIZER_H_
