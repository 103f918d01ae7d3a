#include "model/gguf_tokenizer.h"

#include "model/gguf_tokenizer_form.h"
#include "model/merge_scores.h"
#include "model/pre_tokenizer.h"

namespace tandem {
namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr float kPaddingScore = -10000;   // of rows without a token
constexpr int32_t kUnigramUnknownId = 2;  // llama.cpp's, for files of no other

StatusOr<std::optional<int32_t>> OptionalId(const GgufFile& file,
                                            const std::string& key,
                                            size_t tokens) {
  if (!file.Has(key)) return std::optional<int32_t>();
  TANDEM_ASSIGN_OR_RETURN(
      const int64_t id, file.Integer(key, 0, static_cast<int64_t>(tokens) - 1));
  return std::optional<int32_t>(static_cast<int32_t>(id));
}

Status CheckLength(const char* key, size_t values, size_t tokens) {
  if (values == tokens) return OkStatus();
  return InvalidArgument("key '{}' has {} values, expected one per token, {}",
                         key, values, tokens);
}

StatusOr<std::vector<TokenType>> TypesOf(const GgufFile& file, size_t tokens) {
  constexpr auto kKey = "tokenizer.ggml.token_type";
  if (!file.Has(kKey)) {
    return std::vector<TokenType>(tokens, TokenType::kNormal);
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers,
                          file.Integers(kKey));
  TANDEM_RETURN_IF_ERROR(CheckLength(kKey, numbers.size(), tokens));
  std::vector<TokenType> types;
  types.reserve(numbers.size());
  for (const int64_t number : numbers) {
    if (number < static_cast<int64_t>(TokenType::kNormal) ||
        number > static_cast<int64_t>(TokenType::kByte)) {
      return InvalidArgument("key '{}' holds {}, expected 1 to 6", kKey,
                             number);
    }
    types.push_back(static_cast<TokenType>(number));
  }
  return types;
}

// "gpt2": byte-level BPE.
Status ReadByteLevel(const GgufFile& file, TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const std::string pre,
                          file.Text("tokenizer.ggml.pre"));
  TANDEM_ASSIGN_OR_RETURN(const PreTokenizerKind* kind,
                          FindPreTokenizerKind(pre));
  data.pre_tokenizer = kind->name;
  data.ignore_merges = kind->ignore_merges;
  data.normalize_nfc = kind->normalize_nfc;
  TANDEM_ASSIGN_OR_RETURN(data.merges, file.Texts("tokenizer.ggml.merges"));
  TANDEM_ASSIGN_OR_RETURN(const bool prefix,
                          file.Flag("tokenizer.ggml.add_space_prefix", false));
  if (!prefix) return OkStatus();
  return InvalidArgument(
      "key 'tokenizer.ggml.add_space_prefix' is true, expected false");
}

Status ReadScores(const GgufFile& file, TokenizerData& data) {
  constexpr auto kScores = "tokenizer.ggml.scores";
  TANDEM_ASSIGN_OR_RETURN(data.scores, file.Numbers(kScores));
  return CheckLength(kScores, data.scores.size(), data.tokens.size());
}

// "llama": SentencePiece's BPE. Where a key is absent, llama.cpp's defaults.
Status ReadSentencePiece(const GgufFile& file, TokenizerData& data) {
  TANDEM_RETURN_IF_ERROR(ReadScores(file, data));
  TANDEM_ASSIGN_OR_RETURN(const bool prefix,
                          file.Flag("tokenizer.ggml.add_space_prefix", true));
  data.space_prefix = prefix ? SpacePrefix::kEveryPart : SpacePrefix::kNone;
  data.byte_fallback = true;
  return OkStatus();
}

// llama.cpp normalises by it, which nothing here does.
Status CheckNoCharsmap(const GgufFile& file) {
  constexpr auto kCharsmap = "tokenizer.ggml.precompiled_charsmap";
  if (!file.Has(kCharsmap)) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(const std::vector<int64_t> bytes,
                          file.Integers(kCharsmap));
  if (bytes.empty()) return OkStatus();
  return InvalidArgument(
      "key '{}' has {} bytes, only tokenizers that were trained with "
      "normalization_rule_name=identity are supported",
      kCharsmap, bytes.size());
}

// As llama.cpp sums them: floats, in double precision, and 0 for what is found
// as a whole. A normal token's is the logarithm of its probability.
Status ReadUnigramScores(const GgufFile& file, TokenizerData& data) {
  TANDEM_RETURN_IF_ERROR(ReadScores(file, data));
  for (size_t id = 0; id < data.scores.size(); ++id) {
    data.scores[id] = HasUnigramScore(data.types[id])
                          ? static_cast<float>(data.scores[id])
                          : 0;
  }
  return OkStatus();
}

// "t5": unigram. Where a key is absent, llama.cpp's defaults.
Status ReadUnigram(const GgufFile& file, TokenizerData& data) {
  TANDEM_RETURN_IF_ERROR(CheckNoCharsmap(file));
  TANDEM_RETURN_IF_ERROR(ReadUnigramScores(file, data));
  TANDEM_ASSIGN_OR_RETURN(const bool prefix,
                          file.Flag("tokenizer.ggml.add_space_prefix", false));
  TANDEM_ASSIGN_OR_RETURN(
      data.collapse_spaces,
      file.Flag("tokenizer.ggml.remove_extra_whitespaces", false));
  // What drops spaces puts one before every word.
  if (prefix || data.collapse_spaces) {
    data.space_prefix = SpacePrefix::kEveryPartUnlessAllSpaces;
  }
  return OkStatus();
}

Status ReadModel(const GgufFile& file, TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const std::string model,
                          file.Text(std::string(kModelKey)));
  if (model == "gpt2") {
    data.model = TokenizerModel::kByteLevelBpe;
    return ReadByteLevel(file, data);
  }
  if (model == "llama") {
    data.model = TokenizerModel::kSentencePieceBpe;
    return ReadSentencePiece(file, data);
  }
  if (model == "t5") {
    data.model = TokenizerModel::kUnigram;
    return ReadUnigram(file, data);
  }
  return InvalidArgument(
      "key '{}' is '{}', only 'gpt2' (byte-level BPE), 'llama' "
      "(SentencePiece's BPE) and 't5' (unigram) are supported",
      kModelKey, model);
}

// llama.cpp's, for files that do not say.
bool AddsBosByDefault(const TokenizerData& data) {
  return data.model == TokenizerModel::kSentencePieceBpe ||
         data.pre_tokenizer == "llama-bpe";
}

Status CheckVocabularyFits(const TokenizerData& data, int64_t vocabulary_size) {
  if (data.types.size() == data.tokens.size() &&
      static_cast<int64_t>(data.tokens.size()) <= vocabulary_size) {
    return OkStatus();
  }
  return InvalidArgument("{} tokens of {} types for {} rows of embeddings",
                         data.tokens.size(), data.types.size(),
                         vocabulary_size);
}

// Tokens and types, filled up to the rows of the embedding table.
void AddVocabulary(const TokenizerData& data, int64_t vocabulary_size,
                   GgufWriter& writer) {
  std::vector<std::string> tokens = data.tokens;
  std::vector<int32_t> types;
  types.reserve(static_cast<size_t>(vocabulary_size));
  for (const TokenType type : data.types) {
    types.push_back(static_cast<int32_t>(type));
  }
  for (size_t id = tokens.size(); id < static_cast<size_t>(vocabulary_size);
       ++id) {
    tokens.push_back(fmt::format("[PAD{}]", id));
    types.push_back(static_cast<int32_t>(TokenType::kUnused));
  }
  writer.AddTexts("tokenizer.ggml.tokens", tokens);
  writer.AddInt32s("tokenizer.ggml.token_type", types);
}

Status AddScores(const TokenizerData& data, int64_t vocabulary_size,
                 GgufWriter& writer) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<double> exact, ScoresOf(data));
  std::vector<float> scores;
  scores.reserve(static_cast<size_t>(vocabulary_size));
  for (const double score : exact) {
    scores.push_back(static_cast<float>(score));
  }
  scores.resize(static_cast<size_t>(vocabulary_size), kPaddingScore);
  writer.AddFloat32s("tokenizer.ggml.scores", scores);
  return OkStatus();
}

const char* NameOfModel(TokenizerModel model) {
  switch (model) {
    case TokenizerModel::kByteLevelBpe:
      return "gpt2";
    case TokenizerModel::kSentencePieceBpe:
      return "llama";
    case TokenizerModel::kUnigram:
      break;
  }
  return "t5";
}

// How llama.cpp treats spaces, and what its default for unigram would add.
void AddTextOptions(const TokenizerData& data, GgufWriter& writer) {
  writer.AddBool("tokenizer.ggml.add_space_prefix",
                 data.space_prefix != SpacePrefix::kNone);
  if (data.model != TokenizerModel::kUnigram) return;
  writer.AddBool("tokenizer.ggml.remove_extra_whitespaces",
                 data.collapse_spaces);
  writer.AddBool("tokenizer.ggml.add_eos_token", false);
}

void AddRoles(const TokenizerData& data, GgufWriter& writer) {
  const auto add = [&](const char* role, const std::optional<int32_t>& id) {
    if (!id) return;
    writer.AddUint32(fmt::format("tokenizer.ggml.{}_token_id", role),
                     static_cast<uint32_t>(*id));
  };
  add("bos", data.bos_id);
  add("eos", data.eos_id);
  add("unknown", data.unknown_id);
  add("padding", data.padding_id);
}

}  // namespace

StatusOr<TokenizerData> TokenizerOfGguf(const GgufFile& file) {
  TokenizerData data;
  TANDEM_ASSIGN_OR_RETURN(data.tokens, file.Texts("tokenizer.ggml.tokens"));
  const size_t tokens = data.tokens.size();
  TANDEM_ASSIGN_OR_RETURN(data.types, TypesOf(file, tokens));
  TANDEM_RETURN_IF_ERROR(ReadModel(file, data));
  const auto id = [&](const char* name) {
    return OptionalId(file, fmt::format("tokenizer.ggml.{}_token_id", name),
                      tokens);
  };
  TANDEM_ASSIGN_OR_RETURN(data.bos_id, id("bos"));
  TANDEM_ASSIGN_OR_RETURN(data.eos_id, id("eos"));
  TANDEM_ASSIGN_OR_RETURN(data.unknown_id, id("unknown"));
  TANDEM_ASSIGN_OR_RETURN(data.padding_id, id("padding"));
  if (data.model == TokenizerModel::kUnigram && !data.unknown_id &&
      tokens > kUnigramUnknownId) {
    data.unknown_id = kUnigramUnknownId;
  }
  TANDEM_ASSIGN_OR_RETURN(
      data.add_bos,
      file.Flag("tokenizer.ggml.add_bos_token", AddsBosByDefault(data)));
  if (file.Has("tokenizer.chat_template")) {
    TANDEM_ASSIGN_OR_RETURN(data.chat_template,
                            file.Text("tokenizer.chat_template"));
  }
  return data;
}

Status AddTokenizer(const TokenizerData& data, int64_t vocabulary_size,
                    GgufWriter& writer) {
  TANDEM_RETURN_IF_ERROR(CheckVocabularyFits(data, vocabulary_size));
  TANDEM_RETURN_IF_ERROR(CheckGgufForm(data));
  const bool is_byte_level = data.model == TokenizerModel::kByteLevelBpe;
  writer.AddText(std::string(kModelKey), NameOfModel(data.model));
  writer.AddText("tokenizer.ggml.pre",
                 is_byte_level ? data.pre_tokenizer : "default");
  AddVocabulary(data, vocabulary_size, writer);
  if (is_byte_level) {
    writer.AddTexts("tokenizer.ggml.merges", data.merges);
  } else {
    TANDEM_RETURN_IF_ERROR(AddScores(data, vocabulary_size, writer));
  }
  AddRoles(data, writer);
  writer.AddBool("tokenizer.ggml.add_bos_token", data.add_bos);
  AddTextOptions(data, writer);
  if (!data.chat_template.empty()) {
    writer.AddText("tokenizer.chat_template", data.chat_template);
  }
  return OkStatus();
}

}  // namespace tandem
