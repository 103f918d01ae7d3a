// Escapes of Python's string literals.
#ifndef TANDEM_MODEL_JINJA_STRING_LITERAL_H_
#define TANDEM_MODEL_JINJA_STRING_LITERAL_H_

#include <string>
#include <string_view>

#include "common/status.h"

namespace tandem::jinja {

// What stands between a literal's quotes, with its escapes read.
// InvalidArgument for escapes that are cut short, \N{...}, and surrogates.
StatusOr<std::string> ReadEscapes(std::string_view literal);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_STRING_LITERAL_H_
