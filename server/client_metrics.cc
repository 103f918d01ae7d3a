#include "server/client_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tandem {
namespace {

// Sums of what clients claim must not overflow.
constexpr int64_t kMaxCount = int64_t{1} << 53;
constexpr double kMaxReal = 1e15;

Status CheckCount(const char* name, int64_t value) {
  if (value >= 0 && value <= kMaxCount) return OkStatus();
  return InvalidArgument("metrics.{} is {}, expected 0 to {}", name, value,
                         kMaxCount);
}

Status CheckReal(const char* name, double value) {
  if (value >= 0 && value <= kMaxReal) return OkStatus();
  return InvalidArgument("metrics.{} is {}, expected 0 to {}", name, value,
                         kMaxReal);
}

Status CheckResult(const proto::EvaluationResult& result) {
  if (result.name().empty() || result.name().size() > kMaxEvaluationNameSize) {
    return InvalidArgument(
        "metrics.evaluation.name has {} bytes, expected 1 to {}",
        result.name().size(), kMaxEvaluationNameSize);
  }
  TANDEM_RETURN_IF_ERROR(CheckReal("evaluation.loss_nats", result.loss_nats()));
  TANDEM_RETURN_IF_ERROR(
      CheckCount("evaluation.target_tokens", result.target_tokens()));
  TANDEM_RETURN_IF_ERROR(
      CheckCount("evaluation.target_bytes", result.target_bytes()));
  return CheckCount("evaluation.examples", result.examples());
}

int64_t AddSaturating(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum)
             ? std::numeric_limits<int64_t>::max()
             : sum;
}

}  // namespace

Status CheckMetrics(const proto::TaskMetrics& metrics) {
  if (!std::isnan(metrics.train_loss())) {
    TANDEM_RETURN_IF_ERROR(CheckReal("train_loss", metrics.train_loss()));
  }
  TANDEM_RETURN_IF_ERROR(CheckReal("train_seconds", metrics.train_seconds()));
  TANDEM_RETURN_IF_ERROR(
      CheckCount("trained_tokens", metrics.trained_tokens()));
  TANDEM_RETURN_IF_ERROR(
      CheckCount("peak_rss_bytes", metrics.peak_rss_bytes()));
  TANDEM_RETURN_IF_ERROR(
      CheckCount("bytes_downloaded", metrics.bytes_downloaded()));
  TANDEM_RETURN_IF_ERROR(
      CheckCount("bytes_uploaded", metrics.bytes_uploaded()));
  if (metrics.evaluation_size() > kMaxEvaluationResults) {
    return InvalidArgument("metrics.evaluation has {} results, at most {}",
                           metrics.evaluation_size(), kMaxEvaluationResults);
  }
  for (const auto& result : metrics.evaluation()) {
    TANDEM_RETURN_IF_ERROR(CheckResult(result));
  }
  return OkStatus();
}

void AddSinceStart(int64_t now, int64_t& total, int64_t& by_earlier) {
  const int64_t before = total - by_earlier;
  if (now < before) by_earlier = total;
  total = AddSaturating(by_earlier, now);
}

void AddMetrics(const proto::TaskMetrics& metrics, ClientRow& client) {
  client.trained_tokens =
      AddSaturating(client.trained_tokens, metrics.trained_tokens());
  client.train_seconds += metrics.train_seconds();
  client.peak_rss_bytes =
      std::max(client.peak_rss_bytes, metrics.peak_rss_bytes());
  AddSinceStart(metrics.bytes_downloaded(), client.bytes_downloaded,
                client.bytes_downloaded_by_earlier);
  AddSinceStart(metrics.bytes_uploaded(), client.bytes_uploaded,
                client.bytes_uploaded_by_earlier);
}

std::string Printable(const std::string& text, size_t max_size) {
  std::string printable = text.substr(0, max_size);
  for (char& c : printable) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return printable;
}

}  // namespace tandem
