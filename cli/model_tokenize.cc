// tandem model tokenize
#include <iostream>
#include <memory>

#include "cli/command.h"
#include "common/files.h"
#include "model/checkpoint.h"
#include "model/tokenizer.h"

namespace tandem::cli {
namespace {

struct ModelTokenizeFlags {
  std::string model;
  std::string text;
  std::string file;
  std::string lines;
  bool special = false;
};

void PrintIds(const std::vector<int32_t>& ids) { PrintLine(Json(ids).dump()); }

// Each line a JSON string; each output line its ids.
Status TokenizeLines(const Tokenizer& tokenizer,
                     const ModelTokenizeFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(flags.lines));
  std::istringstream stream(bytes);
  std::string line;
  for (int64_t number = 1; std::getline(stream, line); ++number) {
    const Json text = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!text.is_string()) {
      return InvalidArgument("{}:{}: expected a JSON string", flags.lines,
                             number);
    }
    PrintIds(tokenizer.Encode(text.get<std::string>(), flags.special));
  }
  return OkStatus();
}

Status ModelTokenizeMain(const ModelTokenizeFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(
      const Checkpoint checkpoint,
      LoadCheckpoint(flags.model, GgufMatrices::kKeepBlocks));
  TANDEM_ASSIGN_OR_RETURN(const Tokenizer tokenizer,
                          Tokenizer::Create(checkpoint.tokenizer));
  if (!flags.lines.empty()) return TokenizeLines(tokenizer, flags);
  std::string text = flags.text;
  if (!flags.file.empty()) {
    TANDEM_ASSIGN_OR_RETURN(text, ReadFile(flags.file));
  }
  PrintIds(tokenizer.Encode(text, flags.special));
  return OkStatus();
}

}  // namespace

void AddModelTokenize(CLI::App& model, Chosen& chosen) {
  auto flags = std::make_shared<ModelTokenizeFlags>();
  CLI::App* command = AddCommand(
      model, "tokenize", "Token ids of a text, as a JSON array",
      "tandem model tokenize --model "
      "data/models/SmolLM2-135M-Instruct.Q4_1.gguf --text 'Hello, world'",
      chosen, [flags] { return ModelTokenizeMain(*flags); });
  command
      ->add_option("--model", flags->model, "GGUF file or Hugging Face folder")
      ->required();
  CLI::Option_group* source = command->add_option_group("Text");
  source->add_option("--text", flags->text, "The text itself");
  source->add_option("--file", flags->file, "A file, as it is");
  source->add_option("--json-lines", flags->lines,
                     "A file with a JSON string a line; one array is printed "
                     "for each");
  source->require_option(1);
  command->add_flag("--special", flags->special,
                    "Read <|im_start|> and the like as control tokens");
  AddJsonFlagWithoutEffect(*command);
}

}  // namespace tandem::cli
