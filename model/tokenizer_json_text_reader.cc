#include "model/json_fields.h"
#include "model/pre_tokenizer.h"
#include "model/sentence_piece_text.h"
#include "model/tokenizer_json_parts.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

constexpr const char* kKnownDecoders[] = {
    "ByteLevel", "Replace", "Fuse", "ByteFallback", "Strip", "Metaspace"};

// A part's steps: those of a Sequence, itself, or none where it is null.
StatusOr<std::vector<Json>> StepsOf(const Json& document, const char* part_name,
                                    const char* steps_name) {
  const Json part = document.value(part_name, Json());
  if (part.is_null()) return std::vector<Json>();
  if (TypeOfPart(part) != "Sequence") return std::vector<Json>{part};
  const Json steps = part.value(steps_name, Json());
  if (!steps.is_array()) {
    return InvalidArgument("{}: Sequence has no '{}' array", part_name,
                           steps_name);
  }
  return std::vector<Json>(steps.begin(), steps.end());
}

// "Sequence Split ByteLevel", for a message.
std::string NamesOf(const std::vector<Json>& steps) {
  if (steps.size() == 1) return TypeOfPart(steps.front());
  std::string names = steps.empty() ? "null" : "Sequence";
  for (const Json& step : steps) names += fmt::format(" {}", TypeOfPart(step));
  return names;
}

// {"String": text} or {"Regex": text}.
std::string PatternOf(const Json& step, const char* kind) {
  const Json pattern = step.value("pattern", Json());
  return pattern.is_object() ? TextField(pattern, kind, "").value_or("") : "";
}

// What the steps read so far have said.
struct TextSteps {
  bool marks_spaces = false;  // "▁" is put for " "
  TokenizerData& data;
};

Status ReadNormalizerStep(const Json& step, TextSteps& text) {
  const std::string type = TypeOfPart(step);
  if (type == "NFC") {
    text.data.normalize_nfc = true;
    return OkStatus();
  }
  if (type == "Prepend" && step.value("prepend", Json()) == kSpaceMark) {
    text.data.space_prefix = SpacePrefix::kEveryPart;
    return OkStatus();
  }
  if (type == "Replace" && PatternOf(step, "String") == " " &&
      step.value("content", Json()) == kSpaceMark) {
    text.marks_spaces = true;
    return OkStatus();
  }
  return InvalidArgument(
      "normalizer '{}' is not supported, expected NFC, Prepend of '{}' or "
      "Replace of ' ' by '{}'",
      type, kSpaceMark, kSpaceMark);
}

StatusOr<SpacePrefix> MetaspacePrefix(const Json& step) {
  TANDEM_ASSIGN_OR_RETURN(const bool adds,
                          BoolField(step, "add_prefix_space", true));
  TANDEM_ASSIGN_OR_RETURN(
      const std::string scheme,
      TextField(step, "prepend_scheme", adds ? "always" : "never"));
  if (scheme == "always") return SpacePrefix::kEveryPartUnlessSpaceFirst;
  if (scheme == "first") return SpacePrefix::kTextUnlessSpaceFirst;
  if (scheme == "never") return SpacePrefix::kNone;
  return InvalidArgument("Metaspace with prepend_scheme '{}' is not supported",
                         scheme);
}

Status ReadMetaspace(const Json& step, TextSteps& text) {
  TANDEM_ASSIGN_OR_RETURN(
      const std::string mark,
      TextField(step, "replacement", std::string(kSpaceMark)));
  if (mark != kSpaceMark) {
    return InvalidArgument("Metaspace with replacement '{}' is not supported",
                           mark);
  }
  TANDEM_ASSIGN_OR_RETURN(const SpacePrefix prefix, MetaspacePrefix(step));
  // A text that Prepend was applied to begins with a mark already.
  if (text.data.space_prefix == SpacePrefix::kNone) {
    text.data.space_prefix = prefix;
  }
  TANDEM_ASSIGN_OR_RETURN(text.data.split_at_spaces,
                          BoolField(step, "split", true));
  text.marks_spaces = true;
  return OkStatus();
}

Status ReadSentencePieceSteps(const std::vector<Json>& steps, TextSteps& text) {
  const std::string type = steps.size() == 1 ? TypeOfPart(steps.front()) : "";
  if (type == "Metaspace") return ReadMetaspace(steps.front(), text);
  // Gemma's, which finds nothing: there are no spaces any more.
  const bool splits_nothing = type == "Split" && text.marks_spaces &&
                              PatternOf(steps.front(), "String") == " ";
  if (text.marks_spaces && (steps.empty() || splits_nothing)) return OkStatus();
  return InvalidArgument(
      "pre_tokenizer '{}' is not supported; known are ByteLevel alone, after "
      "Digits or after the Split of Llama 3 or Qwen 2, and Metaspace, or none "
      "after a normalizer that puts '{}' for ' '",
      NamesOf(steps), kSpaceMark);
}

// The pattern and the digits of the steps before ByteLevel.
struct Cuts {
  std::string split_pattern;
  bool digits_alone = false;
};

StatusOr<Cuts> ReadCuts(const std::vector<Json>& steps) {
  Cuts cuts;
  if (steps.size() == 1) return cuts;
  const Json& first = steps.front();
  if (steps.size() == 2 && TypeOfPart(first) == "Digits") {
    TANDEM_RETURN_IF_ERROR(
        ExpectOption(first, "individual_digits", false, true));
    cuts.digits_alone = true;
    return cuts;
  }
  if (steps.size() == 2 && TypeOfPart(first) == "Split" &&
      first.value("behavior", Json()) == "Isolated") {
    TANDEM_RETURN_IF_ERROR(ExpectOption(first, "invert", false, false));
    cuts.split_pattern = PatternOf(first, "Regex");
    if (!cuts.split_pattern.empty()) return cuts;
  }
  return InvalidArgument(
      "pre_tokenizer '{}' is not supported, expected ByteLevel alone, after "
      "Digits or after an isolating Split by a Regex",
      NamesOf(steps));
}

// Of the kinds that cut so, the one that normalises so if there is one.
StatusOr<const PreTokenizerKind*> KindOf(const Cuts& cuts, bool nfc) {
  const PreTokenizerKind* found = nullptr;
  for (const PreTokenizerKind& kind : PreTokenizerKinds()) {
    if (kind.split_pattern != cuts.split_pattern ||
        kind.digits_alone != cuts.digits_alone) {
      continue;
    }
    if (found == nullptr || kind.normalize_nfc == nfc) found = &kind;
  }
  if (found != nullptr) return found;
  return InvalidArgument(
      "pre_tokenizer 'Split' by '{}' is not supported, only Llama 3's and "
      "Qwen 2's patterns are",
      cuts.split_pattern);
}

Status ReadByteLevelSteps(const std::vector<Json>& steps, TextSteps& text) {
  if (text.marks_spaces || text.data.space_prefix != SpacePrefix::kNone) {
    return InvalidArgument("normalizer marks spaces before a ByteLevel");
  }
  TANDEM_ASSIGN_OR_RETURN(const Cuts cuts, ReadCuts(steps));
  const Json& byte_level = steps.back();
  TANDEM_RETURN_IF_ERROR(
      ExpectOption(byte_level, "add_prefix_space", true, false));
  TANDEM_RETURN_IF_ERROR(
      ExpectOption(byte_level, "use_regex", true, cuts.split_pattern.empty()));
  TANDEM_ASSIGN_OR_RETURN(const PreTokenizerKind* kind,
                          KindOf(cuts, text.data.normalize_nfc));
  text.data.pre_tokenizer = kind->name;
  return OkStatus();
}

Status CheckDecoder(const Json& document) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Json> steps,
                          StepsOf(document, "decoder", "decoders"));
  for (const Json& step : steps) {
    const std::string type = TypeOfPart(step);
    if (std::find(std::begin(kKnownDecoders), std::end(kKnownDecoders), type) ==
        std::end(kKnownDecoders)) {
      return InvalidArgument("decoder '{}' is not supported", type);
    }
  }
  return OkStatus();
}

Status ReadModelType(const Json& model, bool is_byte_level,
                     TokenizerData& data) {
  const std::string type = TypeOfPart(model);
  if (type == "BPE") {
    data.model = is_byte_level ? TokenizerModel::kByteLevelBpe
                               : TokenizerModel::kSentencePieceBpe;
    return OkStatus();
  }
  if (type == "Unigram" && !is_byte_level) {
    data.model = TokenizerModel::kUnigram;
    return OkStatus();
  }
  return InvalidArgument(
      "model '{}' is not supported, expected BPE, or Unigram without ByteLevel",
      type);
}

}  // namespace

std::string TypeOfPart(const Json& part) {
  if (!part.is_object() || !part.contains("type")) return Shown(part);
  return part["type"].is_string() ? part["type"].get<std::string>()
                                  : Shown(part["type"]);
}

Status ExpectOption(const Json& part, const char* name, bool otherwise,
                    bool expected) {
  TANDEM_ASSIGN_OR_RETURN(const bool value, BoolField(part, name, otherwise));
  if (value == expected) return OkStatus();
  return InvalidArgument("{} with {} = {} is not supported", TypeOfPart(part),
                         name, value);
}

Status ReadTextParts(const Json& document, TokenizerData& data) {
  TextSteps text{.data = data};
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Json> normalizers,
                          StepsOf(document, "normalizer", "normalizers"));
  for (const Json& step : normalizers) {
    TANDEM_RETURN_IF_ERROR(ReadNormalizerStep(step, text));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<Json> steps,
                          StepsOf(document, "pre_tokenizer", "pretokenizers"));
  const bool is_byte_level =
      !steps.empty() && TypeOfPart(steps.back()) == "ByteLevel";
  TANDEM_RETURN_IF_ERROR(ReadModelType(document["model"], is_byte_level, data));
  TANDEM_RETURN_IF_ERROR(is_byte_level ? ReadByteLevelSteps(steps, text)
                                       : ReadSentencePieceSteps(steps, text));
  return CheckDecoder(document);
}

}  // namespace tandem
