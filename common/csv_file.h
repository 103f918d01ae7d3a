// A table of numbers that grows row by row, as CSV: a header, then a row per
// step, empty where there is no number.
#ifndef TANDEM_COMMON_CSV_FILE_H_
#define TANDEM_COMMON_CSV_FILE_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"

namespace tandem {

class CsvFile {
 public:
  // Continues a file with the same header, less the rows past `last_row`, which
  // a killed run wrote after its checkpoint; any other file is replaced. The
  // first column numbers the rows. Errors of WriteFileAtomically.
  static StatusOr<CsvFile> Open(const std::filesystem::path& path,
                                const std::vector<std::string>& columns,
                                int64_t last_row);
  // Appended and flushed. `values`: the columns after the first.
  Status Write(int64_t row, const std::vector<std::optional<double>>& values);

 private:
  explicit CsvFile(std::filesystem::path path);

  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace tandem

#endif  // TANDEM_COMMON_CSV_FILE_H_
