// Template source to a tree.
#ifndef TANDEM_MODEL_JINJA_PARSER_H_
#define TANDEM_MODEL_JINJA_PARSER_H_

#include <string_view>

#include "common/status.h"
#include "model/jinja_syntax.h"

namespace tandem::jinja {

// InvalidArgument names the line and the construct: what is no Jinja, what this
// subset leaves out (include, import, extends, block, call, filter, with, raw,
// do, trans, recursive loops), and what nests too deep.
StatusOr<Body> Parse(std::string_view source);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_PARSER_H_
