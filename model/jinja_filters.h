// Jinja's filters: {{ value|name(arguments) }}.
#ifndef TANDEM_MODEL_JINJA_FILTERS_H_
#define TANDEM_MODEL_JINJA_FILTERS_H_

#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/jinja_arguments.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

struct Filter {
  std::string_view name;
  StatusOr<Value> (*function)(const Value& input, const Arguments& arguments,
                              Budget* budget);
};

// InvalidArgument for an unknown filter (lists the known ones), wrong
// arguments, and where the filter itself refuses its input.
StatusOr<Value> ApplyFilter(std::string_view name, const Value& input,
                            const Arguments& arguments, Budget* budget);

// Of texts and single values; of lists.
const std::vector<Filter>& ValueFilters();
const std::vector<Filter>& ListFilters();

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_FILTERS_H_
