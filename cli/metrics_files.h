// What a training measures, step by step, as files: metrics.csv for pandas and
// event files for TensorBoard.
#ifndef TANDEM_CLI_METRICS_FILES_H_
#define TANDEM_CLI_METRICS_FILES_H_

#include <filesystem>

#include "common/clock.h"
#include "common/csv_file.h"
#include "common/status.h"
#include "common/tensorboard_file.h"
#include "model/training_run.h"

namespace tandem::cli {

class MetricsFiles {
 public:
  // Makes the folder where it is missing. An earlier metrics.csv keeps its rows
  // up to `last_step`, from where the training goes on. REQUIRES: clock
  // outlives the files. Errors of CsvFile::Open and TensorBoardFile::Create.
  static StatusOr<MetricsFiles> Open(const std::filesystem::path& folder,
                                     int64_t last_step, const Clock& clock);
  Status Write(const StepMetrics& metrics);

 private:
  MetricsFiles(CsvFile csv, TensorBoardFile events);

  CsvFile csv_;
  TensorBoardFile events_;
};

}  // namespace tandem::cli

#endif  // TANDEM_CLI_METRICS_FILES_H_
