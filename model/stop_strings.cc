#include "model/stop_strings.h"

#include <algorithm>
#include <utility>

namespace tandem {
namespace {

// Length of the longest end of `text` that `stop` begins with.
size_t Overlap(std::string_view text, std::string_view stop) {
  size_t size = std::min(text.size(), stop.size() - 1);
  while (!text.ends_with(stop.substr(0, size))) --size;
  return size;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings)
    : strings_(std::move(strings)) {
  std::erase(strings_, "");
}

std::string StopStrings::Push(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  size_t stop = std::string::npos, overlap = 0;
  for (const std::string& string : strings_) {
    stop = std::min(stop, held_.find(string));
    overlap = std::max(overlap, Overlap(held_, string));
  }
  stopped_ = stop != std::string::npos;
  std::string certain =
      held_.substr(0, stopped_ ? stop : held_.size() - overlap);
  held_.erase(0, stopped_ ? held_.size() : certain.size());
  return certain;
}

std::string StopStrings::Flush() { return std::exchange(held_, ""); }

}  // namespace tandem
