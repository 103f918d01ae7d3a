#include "common/nearest_name.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <limits>

namespace tandem {

int EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> cost(a.size() + 1,
                                     std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replaced = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::string DidYouMean(std::string_view name,
                       const std::vector<std::string>& known) {
  if (known.empty()) return "";
  // The table is quadratic: no name of ours is near to a very long one.
  constexpr size_t kLongestName = 256;
  int nearest = std::numeric_limits<int>::max();
  const std::string* meant = nullptr;
  for (const std::string& candidate : known) {
    if (name.size() > kLongestName) break;
    const int distance = EditDistance(name, candidate);
    if (distance < nearest) {
      nearest = distance;
      meant = &candidate;
    }
  }
  const int near = std::max<int>(2, static_cast<int>(name.size()) / 2);
  if (meant != nullptr && nearest <= near &&
      nearest < static_cast<int>(meant->size())) {
    return fmt::format(", did you mean '{}'?", *meant);
  }
  std::string all;
  for (const std::string& candidate : known) {
    all += (all.empty() ? "" : ", ") + candidate;
  }
  return ", expected one of: " + all;
}

}  // namespace tandem
