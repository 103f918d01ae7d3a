// Jinja's tests: {% if value is name(arguments) %}.
#ifndef TANDEM_MODEL_JINJA_TESTS_H_
#define TANDEM_MODEL_JINJA_TESTS_H_

#include <string_view>

#include "common/status.h"
#include "model/jinja_arguments.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

// InvalidArgument for an unknown test (lists the known ones) and for wrong
// arguments.
StatusOr<bool> ApplyTest(std::string_view name, const Value& value,
                         const Arguments& arguments, Budget* budget);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_TESTS_H_
