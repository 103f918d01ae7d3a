// Our tokenizer as test_tokenizer.py asks it. usage: encode_lines MODEL
// REQUEST.json: a GGUF file or a folder with the tokenizer's files (no weights
// are read), and a file with an object of
//   texts    strings to encode
//   bytes    the same in hexadecimal, for what is no UTF-8
//   special  true: the text of control tokens becomes their ids
//   chats    lists of {role, content}
//   chat_template  in place of the model's own
// Prints {"ids": [[...]], "bytes": [[...]], "chats": [{"tokens", "is_target",
// "target_bytes", "prompt"} or {"error"}]}, in their order.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "model/chat_template.h"
#include "model/gguf_tokenizer.h"
#include "model/tokenizer_folder.h"

namespace tandem {
namespace {

using nlohmann::json;

std::string FromHex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

StatusOr<json> TryEncodeChat(const Tokenizer& tokenizer, const json& chat) {
  std::vector<ChatMessage> messages;
  for (const json& message : chat) {
    messages.push_back({message.at("role"), message.at("content")});
  }
  TANDEM_ASSIGN_OR_RETURN(const TokenizedExample example,
                          TokenizeChat(tokenizer, messages));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<int32_t> prompt,
                          TokenizeChatPrompt(tokenizer, messages));
  return json{{"tokens", example.tokens},
              {"is_target", example.is_target},
              {"target_bytes", example.target_bytes},
              {"prompt", prompt}};
}

json EncodeChat(const Tokenizer& tokenizer, const json& chat) {
  StatusOr<json> encoded = TryEncodeChat(tokenizer, chat);
  if (encoded.ok()) return *std::move(encoded);
  return {{"error", ToString(encoded.status())}};
}

json Answer(const Tokenizer& tokenizer, const json& request) {
  const bool special = request.value("special", false);
  json answer = {{"ids", json::array()},
                 {"bytes", json::array()},
                 {"chats", json::array()}};
  for (const std::string text : request.value("texts", json::array())) {
    answer["ids"].push_back(tokenizer.Encode(text, special));
  }
  for (const std::string digits : request.value("bytes", json::array())) {
    answer["bytes"].push_back(tokenizer.Encode(FromHex(digits), special));
  }
  for (const json& chat : request.value("chats", json::array())) {
    answer["chats"].push_back(EncodeChat(tokenizer, chat));
  }
  return answer;
}

StatusOr<TokenizerData> LoadData(const std::string& model) {
  if (std::filesystem::is_directory(model)) return LoadTokenizerFiles(model);
  TANDEM_ASSIGN_OR_RETURN(const GgufFile file, ReadGguf(model));
  return TokenizerOfGguf(file);
}

Status Run(const std::string& model, const std::string& request) {
  TANDEM_ASSIGN_OR_RETURN(TokenizerData data, LoadData(model));
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadFile(request));
  const json parsed = json::parse(text);
  data.chat_template = parsed.value("chat_template", data.chat_template);
  TANDEM_ASSIGN_OR_RETURN(const Tokenizer tokenizer,
                          Tokenizer::Create(std::move(data)));
  std::cout << Answer(tokenizer, parsed) << "\n";
  return OkStatus();
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: encode_lines MODEL REQUEST.json\n";
    return 2;
  }
  const tandem::Status status = tandem::CatchExceptions(
      "encode_lines", [&] { return tandem::Run(argv[1], argv[2]); });
  if (status.ok()) return EXIT_SUCCESS;
  std::cerr << tandem::ToString(status) << "\n";
  return EXIT_FAILURE;
}
