#include "model/jinja_arguments.h"

#include <algorithm>

namespace tandem::jinja {

StatusOr<std::vector<std::optional<Value>>> Arguments::Bind(
    const std::vector<std::string>& names) const {
  if (positional.size() > names.size()) {
    return InvalidArgument("{} arguments, expected at most {}",
                           positional.size(), names.size());
  }
  std::vector<std::optional<Value>> bound(positional.begin(), positional.end());
  bound.resize(names.size());
  for (const auto& [name, value] : named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return InvalidArgument("unknown argument '{}'", name);
    }
    std::optional<Value>& slot =
        bound[static_cast<size_t>(found - names.begin())];
    if (slot) return InvalidArgument("argument '{}' is given twice", name);
    slot = value;
  }
  return bound;
}

}  // namespace tandem::jinja
