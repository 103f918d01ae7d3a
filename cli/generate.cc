// tandem generate
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/loaded_model.h"
#include "common/clock.h"
#include "model/chat_template.h"
#include "model/text_generator.h"

namespace tandem::cli {
namespace {

struct GenerateFlags {
  ModelFlags model;
  std::vector<std::string> prompts;
  bool raw = false;
  bool json = false;
  TextOptions text;
};

StatusOr<std::vector<int32_t>> PromptTokens(const LoadedModel& model,
                                            const std::string& prompt,
                                            bool raw) {
  std::vector<int32_t> tokens;
  if (raw) {
    tokens = model.tokenizer.Encode(prompt);
  } else {
    TANDEM_ASSIGN_OR_RETURN(
        tokens, TokenizeChatPrompt(model.tokenizer, {{"user", prompt}},
                                   SystemClock().Now()));
  }
  const int64_t context = model.decoder.config().context_length;
  if (tokens.empty()) return InvalidArgument("--prompt is empty");
  if (static_cast<int64_t>(tokens.size()) >= context) {
    return InvalidArgument("--prompt fills the model's context of {} tokens",
                           context);
  }
  return tokens;
}

const char* NameOf(ReplyEnd end) {
  switch (end) {
    case ReplyEnd::kEndOfReply:
      return "end_of_reply";
    case ReplyEnd::kStopString:
      return "stop_string";
    case ReplyEnd::kLength:
      break;
  }
  return "length";
}

Json JsonOf(const Reply& reply, const std::vector<int32_t>& prompt) {
  return {{"text", reply.text},
          {"tokens", reply.tokens},
          {"prompt_tokens", prompt},
          {"end", NameOf(reply.end)}};
}

// One reply as it is, several as a list of them.
void PrintReplies(const std::vector<Reply>& replies,
                  const std::vector<std::vector<int32_t>>& prompts) {
  if (replies.size() == 1) return PrintJson(JsonOf(replies[0], prompts[0]));
  Json list = Json::array();
  for (size_t i = 0; i < replies.size(); ++i) {
    list.push_back(JsonOf(replies[i], prompts[i]));
  }
  PrintJson({{"replies", list}});
}

Status GenerateMain(const GenerateFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const LoadedModel model, Load(flags.model));
  std::vector<std::vector<int32_t>> prompts;
  prompts.reserve(flags.prompts.size());
  for (const std::string& prompt : flags.prompts) {
    TANDEM_ASSIGN_OR_RETURN(std::vector<int32_t> tokens,
                            PromptTokens(model, prompt, flags.raw));
    prompts.push_back(std::move(tokens));
  }
  TextOptions options = flags.text;
  const bool streams = !flags.json && prompts.size() == 1;
  if (streams) {
    options.on_text = [](size_t, std::string_view bytes) {
      std::cout << bytes << std::flush;
    };
  }
  const std::vector<Reply> replies =
      GenerateText(model.decoder, model.adapter_or_null(), model.tokenizer,
                   prompts, options);
  if (flags.json) {
    PrintReplies(replies, prompts);
  } else if (streams) {
    PrintLine("");
  } else {
    for (const Reply& reply : replies) PrintLine(reply.text + "\n");
  }
  return OkStatus();
}

void AddTextFlags(CLI::App& command, TextOptions& text) {
  command.add_option("--max-tokens", text.max_new_tokens, "Of each reply")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--stop", text.stop_strings,
                  "A reply ends before this text; may be given several times")
      ->take_all()
      ->expected(1);
  SamplingOptions& sampling = text.sampling;
  command
      .add_option("--temperature", sampling.temperature,
                  "0 takes the likeliest token each time")
      ->check(NumberWithin(0, 100))
      ->capture_default_str();
  command
      .add_option("--top-k", sampling.top_k,
                  "Draw from the so many likeliest tokens; 0: from all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--top-p", sampling.top_p,
                  "Draw from the smallest set of tokens of this probability")
      ->check(NumberWithin(1e-6, 1))
      ->capture_default_str();
  command
      .add_option("--min-p", sampling.min_p,
                  "Draw from tokens at least this times as likely as the "
                  "likeliest")
      ->check(NumberWithin(0, 1))
      ->capture_default_str();
  command
      .add_option("--repetition-penalty", sampling.repetition_penalty,
                  "Above 1, tokens that were there before become less likely")
      ->check(NumberWithin(0.01, 100))
      ->capture_default_str();
  command.add_option("--seed", sampling.seed, "Of the draws")
      ->capture_default_str();
}

}  // namespace

void AddGenerate(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = AddCommand(
      app, "generate", "A model's replies to one prompt or several at once",
      "tandem generate --model data/models/SmolLM2-135M-Instruct.Q4_1.gguf "
      "--prompt 'Define: compiler' --max-tokens 64",
      chosen, [flags] { return GenerateMain(*flags); });
  AddModelFlags(*command, flags->model);
  command
      ->add_option("--prompt", flags->prompts,
                   "What the user says; several are answered together")
      ->required()
      ->take_all()
      ->expected(1);
  command->add_flag("--raw", flags->raw,
                    "Continue the prompt as it is, without chat template");
  AddTextFlags(*command, flags->text);
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
