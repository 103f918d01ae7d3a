// What Tandem draws the next token from, for test_generate.py to hold against
// transformers' logits processors.
//
//   token_distribution < REQUESTS.json > ANSWERS.json
//
// REQUESTS: a list of {"logits": [...], "seen": [id, ...], "temperature",
// "top_k", "top_p", "min_p", "repetition_penalty"}. ANSWERS: for each a list of
// [id, probability].
#include <iostream>
#include <nlohmann/json.hpp>

#include "model/sampler.h"

namespace {

using nlohmann::json;

json Answer(const json& request) {
  const auto logits = request.at("logits").get<std::vector<float>>();
  const auto seen = request.at("seen").get<std::vector<int32_t>>();
  tandem::SamplingOptions options;
  options.temperature = request.at("temperature");
  options.top_k = request.at("top_k");
  options.top_p = request.at("top_p");
  options.min_p = request.at("min_p");
  options.repetition_penalty = request.at("repetition_penalty");
  json answer = json::array();
  for (const auto& [id, probability] :
       tandem::TokenDistribution(logits, seen, options))
    answer.push_back({id, probability});
  return answer;
}

}  // namespace

int main() {
  json answers = json::array();
  for (const json& request : json::parse(std::cin))
    answers.push_back(Answer(request));
  std::cout << answers << '\n';
}
