#include "model/shuffled_lines.h"

#include <optional>
#include <utility>

#include "common/random.h"

namespace tandem {

ShuffledLines::ShuffledLines(const std::filesystem::path& path,
                             const ShuffleOptions& options, LineReader reader)
    : path_(path), options_(options), reader_(std::move(reader)) {}

StatusOr<ShuffledLines> ShuffledLines::Open(const std::filesystem::path& path,
                                            const ShuffleOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(LineReader reader, LineReader::Open(path));
  ShuffledLines lines(path, options, std::move(reader));
  if (!lines.reader_.is_gzip()) TANDEM_RETURN_IF_ERROR(lines.FindBlocks());
  return lines;
}

Status ShuffledLines::FindBlocks() {
  Block block = {0, 0, 0, 0};
  while (true) {
    TANDEM_ASSIGN_OR_RETURN(const std::optional<TextLine> line, reader_.Next());
    const bool is_full = block.bytes >= options_.block_bytes;
    if (block.lines > 0 && (is_full || !line)) {
      blocks_.push_back(block);
      block = {block.offset + block.bytes, 0, block.lines_before + block.lines,
               0};
    }
    if (!line) return OkStatus();
    ++block.lines;
    block.bytes = reader_.offset() - block.offset;
  }
}

StatusOr<TextLine> ShuffledLines::Next() {
  const int64_t first_epoch = position_.epoch;
  while (!loaded_ || position_.taken == static_cast<int64_t>(window_.size())) {
    if (loaded_) MoveToNextWindow();
    // The second end of an epoch: a whole one had nothing.
    if (position_.epoch > first_epoch + 1) {
      return InvalidArgument("{} holds nothing but blank lines",
                             path_.string());
    }
    TANDEM_RETURN_IF_ERROR(LoadWindow());
  }
  const WindowLine& line = window_[position_.taken++];
  return TextLine{
      line.number,
      std::string_view(window_text_).substr(line.offset, line.size)};
}

void ShuffledLines::MoveToNextWindow() {
  if (is_last_window_) {
    position_ = {position_.epoch + 1, 0, 0};
  } else {
    position_ = {position_.epoch, window_end_, 0};
  }
}

Status ShuffledLines::Seek(const LinePosition& position) {
  const auto refused = [&] {
    return InvalidArgument(
        "{} has no line at epoch {}, window {}, line {} of it", path_.string(),
        position.epoch, position.window_start, position.taken);
  };
  const bool is_past_blocks =
      !reader_.is_gzip() &&
      position.window_start > static_cast<int64_t>(blocks_.size());
  if (position.epoch < 0 || position.window_start < 0 || position.taken < 0 ||
      is_past_blocks) {
    return refused();
  }
  position_ = position;
  TANDEM_RETURN_IF_ERROR(LoadWindow());
  return position.taken > static_cast<int64_t>(window_.size()) ? refused()
                                                               : OkStatus();
}

Status ShuffledLines::LoadWindow() {
  loaded_ = false;
  window_.clear();
  window_text_.clear();
  TANDEM_RETURN_IF_ERROR(reader_.is_gzip() ? LoadStream() : LoadBlocks());
  ShuffleWindow();
  loaded_ = true;
  return OkStatus();
}

Status ShuffledLines::LoadBlocks() {
  SeededRandom random(DeriveSeed(options_.seed, "blocks", position_.epoch));
  const int64_t count = static_cast<int64_t>(blocks_.size());
  const std::vector<int64_t> order = random.Permutation(count);
  int64_t bytes = 0, next = position_.window_start;
  for (; next < count && bytes < options_.window_bytes; ++next) {
    const Block& block = blocks_[order[next]];
    TANDEM_RETURN_IF_ERROR(LoadBlock(block));
    bytes += block.bytes;
  }
  window_end_ = next;
  is_last_window_ = next == count;
  return OkStatus();
}

Status ShuffledLines::LoadBlock(const Block& block) {
  TANDEM_RETURN_IF_ERROR(reader_.Seek(block.offset, block.lines_before));
  for (int64_t i = 0; i < block.lines; ++i) {
    TANDEM_ASSIGN_OR_RETURN(const std::optional<TextLine> line, reader_.Next());
    if (!line) {
      return FailedPrecondition("{} has become shorter: line {} is missing",
                                path_.string(), block.lines_before + i + 1);
    }
    Keep(*line);
  }
  return OkStatus();
}

Status ShuffledLines::LoadStream() {
  if (reader_.lines() > position_.window_start) {
    TANDEM_ASSIGN_OR_RETURN(reader_, LineReader::Open(path_));
  }
  const int64_t first = position_.window_start;
  is_last_window_ = false;
  for (int64_t from = reader_.offset();
       reader_.offset() - from < options_.window_bytes;) {
    TANDEM_ASSIGN_OR_RETURN(const std::optional<TextLine> line, reader_.Next());
    is_last_window_ = !line;
    if (!line) break;
    if (line->number <= first) {
      from = reader_.offset();  // not there yet
    } else {
      Keep(*line);
    }
  }
  window_end_ = reader_.lines();
  return OkStatus();
}

void ShuffledLines::Keep(const TextLine& line) {
  if (IsBlank(line.text)) return;
  window_.push_back({line.number, window_text_.size(), line.text.size()});
  window_text_ += line.text;
}

void ShuffledLines::ShuffleWindow() {
  const uint64_t epoch_seed =
      DeriveSeed(options_.seed, "window", position_.epoch);
  SeededRandom random(DeriveSeed(epoch_seed, "lines", position_.window_start));
  for (size_t i = window_.size(); i > 1; --i) {
    std::swap(window_[i - 1], window_[random.Below(i)]);
  }
}

}  // namespace tandem
