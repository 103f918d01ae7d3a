// Which known name somebody meant who wrote an unknown one.
#ifndef TANDEM_COMMON_NEAREST_NAME_H_
#define TANDEM_COMMON_NEAREST_NAME_H_

#include <string>
#include <string_view>
#include <vector>

namespace tandem {

// The fewest insertions, deletions, replacements and swaps of neighbours that
// turn `a` into `b` (Damerau-Levenshtein, each pair swapped at most once).
int EditDistance(std::string_view a, std::string_view b);

// ", did you mean 'count'?" for the nearest of `known`; where none is near,
// ", expected one of: ..." with all of them in order. Empty where `known` is.
std::string DidYouMean(std::string_view name,
                       const std::vector<std::string>& known);

}  // namespace tandem

#endif  // TANDEM_COMMON_NEAREST_NAME_H_
