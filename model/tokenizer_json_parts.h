// The parts of a tokenizer.json that say how text becomes tokens, as
// ParseTokenizerJson and FormatTokenizerJson use them.
#ifndef TANDEM_MODEL_TOKENIZER_JSON_PARTS_H_
#define TANDEM_MODEL_TOKENIZER_JSON_PARTS_H_

#include <nlohmann/json.hpp>
#include <string>

#include "common/status.h"
#include "model/tokenizer_data.h"

namespace tandem {

// The "type" of a part, or the part itself for a message.
std::string TypeOfPart(const nlohmann::json& part);

// InvalidArgument, naming part and option, unless part[name], or `otherwise`
// where it is absent, is `expected`: another value would change ids.
Status ExpectOption(const nlohmann::json& part, const char* name,
                    bool otherwise, bool expected);

// normalizer, pre_tokenizer, decoder and the model's type. InvalidArgument,
// naming it: a part or an option that is not supported.
Status ReadTextParts(const nlohmann::json& document, TokenizerData& data);

// The way back: sets normalizer, pre_tokenizer and decoder. InvalidArgument: an
// unknown pre-tokenizer, kEveryPartUnlessAllSpaces.
Status WriteTextParts(const TokenizerData& data, nlohmann::json& document);

}  // namespace tandem

#endif  // TANDEM_MODEL_TOKENIZER_JSON_PARTS_H_
