// Event files that TensorBoard reads: TFRecord framing around the protocol
// buffer tensorflow.Event, of which four fields are enough for scalars.
#ifndef TANDEM_COMMON_TENSORBOARD_FILE_H_
#define TANDEM_COMMON_TENSORBOARD_FILE_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/status.h"

namespace tandem {

// Tag and value: {"train/loss", 3.2}.
using Scalars = std::vector<std::pair<std::string, double>>;

// One TFRecord: u64 length, its masked CRC-32C, the data, its masked CRC-32C,
// all little-endian.
std::string TensorBoardRecord(std::string_view data);
// tensorflow.Event: wall_time = 1 (double), step = 2 (int64), file_version = 3
// (string) or summary = 5 {value = 1 {tag = 1, simple_value = 2 (float)}}.
std::string VersionEvent(TimePoint time);
std::string ScalarsEvent(TimePoint time, int64_t step, const Scalars& scalars);

class TensorBoardFile {
 public:
  // A new file events.out.tfevents.SECONDS.PROCESS in `folder`, which exists;
  // TensorBoard reads all files of a folder as one run. REQUIRES: clock
  // outlives the file. Internal where it cannot be written.
  static StatusOr<TensorBoardFile> Create(const std::filesystem::path& folder,
                                          const Clock& clock);
  // Appended and flushed.
  Status Write(int64_t step, const Scalars& scalars);

 private:
  TensorBoardFile(std::filesystem::path path, const Clock& clock);
  Status Append(std::string_view event);

  std::filesystem::path path_;
  const Clock* clock_;
  std::ofstream out_;
};

}  // namespace tandem

#endif  // TANDEM_COMMON_TENSORBOARD_FILE_H_
