// The lines of a file, again and again, every epoch in a new order, in memory
// that does not grow with the file.
//
// A plain file is cut into blocks of whole lines, of which 32 bytes each are
// kept. An epoch visits the blocks in a random order; as many as fill a window
// are read, and the window's lines handed out in a random order. A gzip file
// cannot be entered in the middle: its windows follow each other as they stand
// in the file, and lines are shuffled within them. What is smaller than a
// window is shuffled whole.
#ifndef TANDEM_MODEL_SHUFFLED_LINES_H_
#define TANDEM_MODEL_SHUFFLED_LINES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/line_reader.h"

namespace tandem {

struct ShuffleOptions {
  uint64_t seed = 1;
  int64_t window_bytes = int64_t{16} << 20;
  int64_t block_bytes = int64_t{256} << 10;
};

// Where the next line is; with the file and the options, all that goes on from
// there needs.
struct LinePosition {
  int64_t epoch = 0;
  int64_t window_start = 0;  // blocks (gzip: lines) of the epoch before it
  int64_t taken = 0;         // lines of the window
};

class ShuffledLines {
 public:
  // Reads a plain file once to find its blocks. Errors of LineReader.
  static StatusOr<ShuffledLines> Open(const std::filesystem::path& path,
                                      const ShuffleOptions& options);

  // The next line that is not blank; valid until the next call. Errors of
  // LineReader; InvalidArgument for a file of blank lines, FailedPrecondition
  // for one that has become shorter.
  StatusOr<TextLine> Next();

  const LinePosition& position() const { return position_; }
  // InvalidArgument where this file has no such position.
  Status Seek(const LinePosition& position);

 private:
  struct Block {
    int64_t offset, bytes, lines_before, lines;
  };
  struct WindowLine {
    int64_t number;
    size_t offset, size;  // in window_text_
  };

  ShuffledLines(const std::filesystem::path& path,
                const ShuffleOptions& options, LineReader reader);
  Status FindBlocks();
  // Reads the window at position_.
  Status LoadWindow();
  Status LoadBlocks();
  Status LoadBlock(const Block& block);
  Status LoadStream();
  void Keep(const TextLine& line);
  void ShuffleWindow();
  void MoveToNextWindow();

  std::filesystem::path path_;
  ShuffleOptions options_;
  LineReader reader_;
  std::vector<Block> blocks_;  // none of a gzip file

  LinePosition position_;
  bool loaded_ = false;  // the window at position_
  int64_t window_end_ = 0;
  bool is_last_window_ = false;
  std::string window_text_;
  std::vector<WindowLine> window_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_SHUFFLED_LINES_H_
