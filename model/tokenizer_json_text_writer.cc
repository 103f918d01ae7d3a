#include "model/json_fields.h"
#include "model/pre_tokenizer.h"
#include "model/sentence_piece_text.h"
#include "model/tokenizer_json_parts.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

Json ByteLevelPart(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

// Null, the only step, or a Sequence.
Json PartOf(const Json& steps, const char* steps_name) {
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return steps[0];
  return {{"type", "Sequence"}, {steps_name, steps}};
}

StatusOr<Json> ByteLevelSteps(const TokenizerData& data) {
  TANDEM_ASSIGN_OR_RETURN(const PreTokenizerKind* kind,
                          FindPreTokenizerKind(data.pre_tokenizer));
  Json steps = Json::array();
  if (kind->digits_alone) {
    steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  }
  const bool has_pattern = !kind->split_pattern.empty();
  if (has_pattern) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", kind->split_pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back(ByteLevelPart(false, !has_pattern));
  return steps;
}

// Metaspace where there is a rule that normalizers cannot say.
Json MetaspaceSteps(const TokenizerData& data) {
  const char* scheme = "never";
  if (data.space_prefix == SpacePrefix::kEveryPartUnlessSpaceFirst) {
    scheme = "always";
  }
  if (data.space_prefix == SpacePrefix::kTextUnlessSpaceFirst) {
    scheme = "first";
  }
  Json steps = Json::array();
  if (data.split_at_spaces || std::string_view(scheme) != "never") {
    steps.push_back({{"type", "Metaspace"},
                     {"replacement", kSpaceMark},
                     {"prepend_scheme", scheme},
                     {"split", data.split_at_spaces}});
  }
  return steps;
}

Json ReplaceStep(std::string_view from, std::string_view to) {
  return {
      {"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Json NormalizerSteps(const TokenizerData& data) {
  Json steps = Json::array();
  if (data.normalize_nfc) steps.push_back({{"type", "NFC"}});
  if (data.model == TokenizerModel::kByteLevelBpe) return steps;
  if (data.space_prefix == SpacePrefix::kEveryPart) {
    steps.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  }
  steps.push_back(ReplaceStep(" ", kSpaceMark));
  return steps;
}

Json DecoderSteps(const TokenizerData& data) {
  Json steps = Json::array();
  if (data.model == TokenizerModel::kByteLevelBpe) {
    steps.push_back(ByteLevelPart(true, true));
    return steps;
  }
  steps.push_back(ReplaceStep(kSpaceMark, " "));
  steps.push_back({{"type", "ByteFallback"}});
  steps.push_back({{"type", "Fuse"}});
  if (data.space_prefix != SpacePrefix::kNone) {
    steps.push_back(
        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return steps;
}

}  // namespace

Status WriteTextParts(const TokenizerData& data, Json& document) {
  if (data.space_prefix == SpacePrefix::kEveryPartUnlessAllSpaces) {
    return InvalidArgument(
        "a tokenizer that puts a space before all texts but those of spaces "
        "alone has no tokenizer.json form");
  }
  Json steps = MetaspaceSteps(data);
  if (data.model == TokenizerModel::kByteLevelBpe) {
    TANDEM_ASSIGN_OR_RETURN(steps, ByteLevelSteps(data));
  }
  document["normalizer"] = PartOf(NormalizerSteps(data), "normalizers");
  document["pre_tokenizer"] = PartOf(steps, "pretokenizers");
  document["decoder"] = PartOf(DecoderSteps(data), "decoders");
  return OkStatus();
}

}  // namespace tandem
