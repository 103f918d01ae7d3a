// All that a byte-level BPE tokenizer is made of, as found in a GGUF's metadata
// or in a tokenizer.json.
#ifndef TANDEM_MODEL_TOKENIZER_DATA_H_
#define TANDEM_MODEL_TOKENIZER_DATA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tandem {

// GGUF's token types.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct TokenizerData {
  std::vector<std::string> tokens;  // by id, in GPT-2's printable byte alphabet
  std::vector<TokenType> types;     // by id
  std::vector<std::string> merges;  // "left right", by rank
  std::string pre_tokenizer;        // GGUF's name: "smollm", "gpt-2", ...
  std::optional<int32_t> bos_id, eos_id, unknown_id, padding_id;
  bool add_bos = false;
  std::string
      chat_template;  // Jinja source, see chat_format.h; exported as it is
};

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKENIZER_DATA_H_
