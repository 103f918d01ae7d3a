#include "cli/metrics_files.h"

#include <array>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "common/files.h"

namespace tandem::cli {
namespace {

// One line per measure: its column, its TensorBoard tag, its value.
struct Measure {
  const char* column;
  const char* tag;
  std::optional<double> (*value)(const StepMetrics& metrics);
};

constexpr std::array<Measure, 12> kMeasures = {{
    {"loss", "train/loss",
     [](const StepMetrics& m) -> std::optional<double> {
       return m.result.loss;
     }},
    {"grad_norm", "train/grad_norm",
     [](const StepMetrics& m) -> std::optional<double> {
       return m.result.grad_norm_l2;
     }},
    {"learning_rate", "train/learning_rate",
     [](const StepMetrics& m) -> std::optional<double> {
       return m.learning_rate;
     }},
    {"epoch", "data/epoch",
     [](const StepMetrics& m) -> std::optional<double> {
       return m.batches.examples.position.epoch;
     }},
    {"tokens", "data/tokens",
     [](const StepMetrics& m) -> std::optional<double> {
       return m.result.tokens;
     }},
    {"target_tokens", "data/target_tokens",
     [](const StepMetrics& m) -> std::optional<double> {
       return m.result.target_tokens;
     }},
    {"saved_padding", "data/saved_padding",
     [](const StepMetrics& m) -> std::optional<double> {
       return m.batches.packing.SavedPadding();
     }},
    {"malformed_lines", "data/malformed_lines",
     [](const StepMetrics& m) -> std::optional<double> {
       return m.batches.examples.counts.malformed;
     }},
    {"seconds", "speed/seconds",
     [](const StepMetrics& m) -> std::optional<double> { return m.seconds; }},
    {"tokens_per_second", "speed/tokens_per_second",
     [](const StepMetrics& m) -> std::optional<double> {
       if (m.seconds <= 0) return std::nullopt;
       return static_cast<double>(m.result.tokens) / m.seconds;
     }},
    {"validation_loss", "validation/loss",
     [](const StepMetrics& m) -> std::optional<double> {
       if (!m.evaluation) return std::nullopt;
       return MeanLoss(*m.evaluation);
     }},
    {"validation_bits_per_byte", "validation/bits_per_byte",
     [](const StepMetrics& m) -> std::optional<double> {
       if (!m.evaluation) return std::nullopt;
       return m.evaluation->BitsPerByte();
     }},
}};

}  // namespace

MetricsFiles::MetricsFiles(CsvFile csv, TensorBoardFile events)
    : csv_(std::move(csv)), events_(std::move(events)) {}

StatusOr<MetricsFiles> MetricsFiles::Open(const std::filesystem::path& folder,
                                          int64_t last_step,
                                          const Clock& clock) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "make", folder);
  std::vector<std::string> columns = {"step"};
  for (const Measure& measure : kMeasures) {
    columns.emplace_back(measure.column);
  }
  TANDEM_ASSIGN_OR_RETURN(
      CsvFile csv, CsvFile::Open(folder / "metrics.csv", columns, last_step));
  TANDEM_ASSIGN_OR_RETURN(TensorBoardFile events,
                          TensorBoardFile::Create(folder, clock));
  return MetricsFiles(std::move(csv), std::move(events));
}

Status MetricsFiles::Write(const StepMetrics& metrics) {
  std::vector<std::optional<double>> row;
  Scalars scalars;
  row.reserve(kMeasures.size());
  for (const Measure& measure : kMeasures) {
    row.push_back(measure.value(metrics));
    if (row.back()) scalars.emplace_back(measure.tag, *row.back());
  }
  TANDEM_RETURN_IF_ERROR(csv_.Write(metrics.step, row));
  return events_.Write(metrics.step, scalars);
}

}  // namespace tandem::cli
