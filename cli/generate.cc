// tandem generate
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/loaded_model.h"
#include "common/clock.h"
#include "model/chat_template.h"
#include "model/generator.h"

namespace tandem::cli {
namespace {

struct GenerateFlags {
  ModelFlags model;
  std::string prompt;
  bool raw = false;
  bool json = false;
  int64_t max_tokens = 128;
  SamplingOptions sampling;
};

StatusOr<std::vector<int32_t>> PromptTokens(const Tokenizer& tokenizer,
                                            const GenerateFlags& flags) {
  if (flags.raw) return tokenizer.Encode(flags.prompt);
  return TokenizeChatPrompt(tokenizer, {{"user", flags.prompt}},
                            SystemClock().Now());
}

// Bytes go out as they come; a character may be made of several tokens, and a
// terminal puts them together.
std::vector<int32_t> GenerateAndPrint(const LoadedModel& model,
                                      const GenerateFlags& flags,
                                      const std::vector<int32_t>& prompt) {
  return Generate(
      model.decoder, model.adapter_or_null(), prompt, flags.max_tokens,
      flags.sampling,
      [&model](int32_t id) { return model.tokenizer.IsEndOfReply(id); },
      [&model, &flags](int32_t id) {
        if (!flags.json) {
          std::cout << model.tokenizer.Decode({id}) << std::flush;
        }
      });
}

Status GenerateMain(const GenerateFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const LoadedModel model, Load(flags.model));
  const int64_t context = model.decoder.config().context_length;
  TANDEM_ASSIGN_OR_RETURN(const std::vector<int32_t> prompt,
                          PromptTokens(model.tokenizer, flags));
  if (prompt.empty()) return InvalidArgument("--prompt is empty");
  if (static_cast<int64_t>(prompt.size()) >= context) {
    return InvalidArgument("--prompt fills the model's context of {} tokens",
                           context);
  }
  const std::vector<int32_t> reply = GenerateAndPrint(model, flags, prompt);
  if (flags.json) {
    PrintJson({{"text", model.tokenizer.Decode(reply)},
               {"tokens", reply},
               {"prompt_tokens", prompt}});
  } else {
    PrintLine("");
  }
  return OkStatus();
}

}  // namespace

void AddGenerate(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = AddCommand(
      app, "generate", "A model's reply to a prompt",
      "tandem generate --model data/models/SmolLM2-135M-Instruct.Q4_1.gguf "
      "--prompt 'Define: compiler' --max-tokens 64",
      chosen, [flags] { return GenerateMain(*flags); });
  AddModelFlags(*command, flags->model);
  command->add_option("--prompt", flags->prompt, "What the user says")
      ->required();
  command->add_flag("--raw", flags->raw,
                    "Continue the prompt as it is, without chat template");
  command->add_option("--max-tokens", flags->max_tokens, "Of the reply")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--temperature", flags->sampling.temperature,
                   "0 takes the likeliest token each time")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command
      ->add_option("--top-p", flags->sampling.top_p,
                   "Draw from the smallest set of tokens of this probability")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  command->add_option("--seed", flags->sampling.seed, "Of the draws")
      ->capture_default_str();
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
