#include "cli/run_json.h"

#include <algorithm>

namespace tandem::cli {
namespace {

Json EvaluationJson(const EvaluationReport& evaluation) {
  const EvaluationResult& result = evaluation.result;
  return {{"source", evaluation.source},
          {"name", evaluation.name},
          {"bits_per_byte", result.BitsPerByte()},
          {"perplexity", result.Perplexity()},
          {"tokens", result.target_tokens},
          {"bytes", result.target_bytes},
          {"examples", result.examples}};
}

Json RoundJson(const RoundReport& round) {
  Json evaluations = Json::array();
  for (const EvaluationReport& evaluation : round.evaluations) {
    evaluations.push_back(EvaluationJson(evaluation));
  }
  return {{"number", round.number},
          {"attempt", round.attempt},
          {"state", round.state},
          {"reason", round.reason},
          {"train_tasks", round.train_tasks},
          {"outcomes", round.outcomes},
          {"seconds", round.seconds},
          {"mean_train_loss", round.mean_train_loss},
          {"epsilon", round.epsilon},
          {"delta", round.delta},
          {"evaluations", evaluations}};
}

Json ClientJson(const ClientReport& client) {
  return {{"client_id", client.client_id},
          {"tokens_trained", client.tokens_trained},
          {"bytes_downloaded", client.bytes_downloaded},
          {"bytes_uploaded", client.bytes_uploaded},
          {"train_seconds", client.train_seconds},
          {"peak_rss_bytes", client.peak_rss_bytes}};
}

Json PrivacyJson(const RunReport& report) {
  const proto::PrivacyConfig& privacy = report.config.privacy();
  if (!privacy.enabled()) return nullptr;
  return {{"epsilon", report.epsilon},
          {"delta", report.delta},
          {"unit", "one client with all of its data"},
          {"adjacency", "add/remove"},
          {"mechanism", "Gaussian on the sum of clipped updates"},
          {"accountant", "rdp"},
          {"noise_multiplier", privacy.noise_multiplier()},
          {"clip_norm_l2", privacy.clip_norm_l2()},
          {"epsilon_budget", privacy.epsilon_budget()},
          {"sentence", PrivacySentence(report)}};
}

}  // namespace

std::string PrivacySentence(const RunReport& report) {
  if (!report.config.privacy().enabled()) {
    return "Differential privacy is off: updates were added up without noise.";
  }
  std::string sentence = fmt::format(
      "(epsilon, delta) = ({:.6g}, {:g}); unit: one client with all of its "
      "data; adjacency: add or remove one client.",
      report.epsilon, report.delta);
  if (report.epsilon > 20) {
    sentence += fmt::format(
        " Epsilon is this large, and the guarantee without practical value, "
        "because the noise ({:g} times the clip norm) has to stay small enough "
        "for {} clients to learn: it takes thousands of clients to hide one.",
        report.config.privacy().noise_multiplier(), report.clients.size());
  }
  return sentence;
}

Json RunSummaryJson(const RunReport& report) {
  const int64_t committed = std::count_if(
      report.rounds.begin(), report.rounds.end(),
      [](const RoundReport& r) { return r.state == "COMMITTED"; });
  return {{"directory", report.directory.string()},
          {"run_id", report.run_id},
          {"name", report.name},
          {"state", report.state},
          {"reason", report.reason},
          {"rounds_committed", committed},
          {"rounds_planned", report.config.rounds().count()},
          {"clients", report.clients.size()},
          {"epsilon", report.epsilon}};
}

Json RunJson(const RunReport& report) {
  Json json = RunSummaryJson(report);
  json["base_model_digest"] = report.base_model_digest;
  json["student"] = report.config.model().student();
  json["adapter_file"] = report.adapter_file.string();
  json["server_seconds"] = report.server_seconds;
  json["server_peak_rss_bytes"] = report.server_peak_rss_bytes;
  json["privacy"] = PrivacyJson(report);
  json["clients"] = Json::array();
  for (const ClientReport& client : report.clients) {
    json["clients"].push_back(ClientJson(client));
  }
  json["rounds"] = Json::array();
  for (const RoundReport& round : report.rounds) {
    json["rounds"].push_back(RoundJson(round));
  }
  return json;
}

}  // namespace tandem::cli
