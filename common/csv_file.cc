#include "common/csv_file.h"

#include <spdlog/fmt/ranges.h>

#include <charconv>
#include <utility>

#include "common/files.h"

namespace tandem {
namespace {

// The rows of `text` up to number `last_row`, where its header is `header`.
std::string KeptRows(std::string_view text, const std::string& header,
                     int64_t last_row) {
  std::string kept = header;
  if (!text.starts_with(header)) return kept;
  text.remove_prefix(header.size());
  // A row without its newline was cut off by the kill.
  for (size_t end; (end = text.find('\n')) != std::string_view::npos;) {
    const std::string_view row = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    int64_t number = 0;
    const auto parsed = std::from_chars(row.begin(), row.end(), number);
    if (parsed.ec == std::errc() && number <= last_row) kept += row;
  }
  return kept;
}

}  // namespace

CsvFile::CsvFile(std::filesystem::path path)
    : path_(std::move(path)), out_(path_, std::ios::binary | std::ios::app) {}

StatusOr<CsvFile> CsvFile::Open(const std::filesystem::path& path,
                                const std::vector<std::string>& columns,
                                int64_t last_row) {
  const std::string header = fmt::format("{}\n", fmt::join(columns, ","));
  const StatusOr<std::string> before = ReadFile(path);
  TANDEM_RETURN_IF_ERROR(WriteFileAtomically(
      path, KeptRows(before.ok() ? *before : "", header, last_row)));
  return CsvFile(path);
}

Status CsvFile::Write(int64_t row,
                      const std::vector<std::optional<double>>& values) {
  std::string line = fmt::format("{}", row);
  for (const std::optional<double>& value : values) {
    line += value ? fmt::format(",{:.9g}", *value) : ",";
  }
  out_ << line << '\n' << std::flush;
  return out_ ? OkStatus() : Internal("cannot write {}", path_.string());
}

}  // namespace tandem
