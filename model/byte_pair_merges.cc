#include "model/byte_pair_merges.h"

#include <string_view>

namespace tandem {

StatusOr<BytePairMerges> BytePairMerges::Create(
    const std::vector<std::string>& lines, const TokenIndex& index) {
  BytePairMerges merges;
  merges.pairs_.Reserve(lines.size());
  merges.merged_.reserve(lines.size());
  std::string both;
  for (size_t rank = 0; rank < lines.size(); ++rank) {
    const std::string_view line = lines[rank];
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) {
      return InvalidArgument(
          "merge {} is '{}', expected two tokens and a space", rank, line);
    }
    const std::string_view left = line.substr(0, space);
    const std::string_view right = line.substr(space + 1);
    both.assign(left).append(right);
    const int32_t ids[] = {index.Find(left), index.Find(right),
                           index.Find(both)};
    const std::string_view texts[] = {left, right, both};
    for (int i = 0; i < 3; ++i) {
      if (ids[i] != kNoToken) continue;
      return InvalidArgument("merge {} is '{}', but '{}' is no token", rank,
                             line, texts[i]);
    }
    merges.Add(ids[0], ids[1], ids[2]);
  }
  return merges;
}

}  // namespace tandem
