// What a filter, a test, a method, a function or a macro is called with.
#ifndef TANDEM_MODEL_JINJA_ARGUMENTS_H_
#define TANDEM_MODEL_JINJA_ARGUMENTS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // By parameter, in the order of `names`; what was not given is empty.
  // InvalidArgument for too many, unknown or doubly given arguments.
  StatusOr<std::vector<std::optional<Value>>> Bind(
      const std::vector<std::string>& names) const;
};

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_ARGUMENTS_H_
