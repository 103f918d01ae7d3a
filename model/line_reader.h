// The lines of a text file, or of what a gzip file unpacks to, one after
// another in bounded memory.
#ifndef TANDEM_MODEL_LINE_READER_H_
#define TANDEM_MODEL_LINE_READER_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tandem {

// A longer line is cut here, so that a file without newlines does not fill the
// memory.
inline constexpr size_t kMaxLineBytes = size_t{16} << 20;

struct TextLine {
  int64_t number = 0;     // from 1
  std::string_view text;  // without its newline; valid until the next call
};

// True for nothing but spaces, tabs and carriage returns.
bool IsBlank(std::string_view line);

class LineReader {
 public:
  // Gzip files are known by their first bytes. NotFound, Internal.
  static StatusOr<LineReader> Open(const std::filesystem::path& path);
  ~LineReader();
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;

  // The next line; none at the end. InvalidArgument for a gzip file that is
  // damaged or cut off, Internal where it cannot be read.
  StatusOr<std::optional<TextLine>> Next();

  bool is_gzip() const;
  int64_t lines() const { return lines_; }    // so far
  int64_t offset() const { return offset_; }  // of the next line, in bytes

  // Goes to the line that starts at `offset` with `lines` before it. REQUIRES:
  // not a gzip file.
  Status Seek(int64_t offset, int64_t lines);

 private:
  struct File;
  LineReader(std::filesystem::path path, std::unique_ptr<File> file);
  // False at the end of the file.
  StatusOr<bool> Fill();

  std::filesystem::path path_;
  std::unique_ptr<File> file_;
  std::vector<char> buffer_;
  size_t at_ = 0, end_ = 0;  // what is left in buffer_
  std::string line_;
  int64_t lines_ = 0, offset_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_LINE_READER_H_
