#include "model/line_reader.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/files.h"

namespace tandem {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;

}  // namespace

struct LineReader::File {
  explicit File(gzFile opened)
      : handle(opened), is_gzip(gzdirect(opened) == 0) {}
  ~File() { gzclose_r(handle); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const gzFile handle;
  const bool is_gzip;
};

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

LineReader::LineReader(std::filesystem::path path, std::unique_ptr<File> file)
    : path_(std::move(path)), file_(std::move(file)), buffer_(kReadBytes) {}
LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;

StatusOr<LineReader> LineReader::Open(const std::filesystem::path& path) {
  errno = 0;
  const gzFile handle = gzopen(path.c_str(), "rb");
  if (handle == nullptr) return ErrnoStatus(errno, "open", path);
  gzbuffer(handle, static_cast<unsigned>(kReadBytes));
  auto file = std::make_unique<File>(handle);  // reads the first bytes
  int error = Z_OK;
  gzerror(handle, &error);
  if (error == Z_ERRNO) return ErrnoStatus(errno, "read", path);
  return LineReader(path, std::move(file));
}

bool LineReader::is_gzip() const { return file_->is_gzip; }

StatusOr<bool> LineReader::Fill() {
  errno = 0;
  const int got = gzread(file_->handle, buffer_.data(),
                         static_cast<unsigned>(buffer_.size()));
  int error = Z_OK;
  const char* reason = gzerror(file_->handle, &error);
  if (error == Z_ERRNO) return ErrnoStatus(errno, "read", path_);
  if (error != Z_OK && error != Z_STREAM_END) {
    return InvalidArgument("{} is damaged or cut off after line {}: {}",
                           path_.string(), lines_, reason);
  }
  at_ = 0;
  end_ = static_cast<size_t>(std::max(got, 0));
  return end_ > 0;
}

StatusOr<std::optional<TextLine>> LineReader::Next() {
  line_.clear();
  bool has_any = false, has_newline = false;
  while (!has_newline) {
    if (at_ == end_) {
      TANDEM_ASSIGN_OR_RETURN(const bool has_more, Fill());
      if (!has_more) break;
    }
    has_any = true;
    const std::string_view rest(buffer_.data() + at_, end_ - at_);
    const size_t length = std::min(rest.find('\n'), rest.size());
    has_newline = length < rest.size();
    line_ += rest.substr(0, std::min(length, kMaxLineBytes - line_.size()));
    at_ += length + has_newline;
    offset_ += static_cast<int64_t>(length + has_newline);
  }
  if (!has_any) return std::nullopt;
  return TextLine{++lines_, line_};
}

Status LineReader::Seek(int64_t offset, int64_t lines) {
  errno = 0;
  if (gzseek(file_->handle, offset, SEEK_SET) != offset) {
    return ErrnoStatus(errno, "seek in", path_);
  }
  at_ = end_ = 0;
  offset_ = offset;
  lines_ = lines;
  return OkStatus();
}

}  // namespace tandem
