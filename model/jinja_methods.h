// Methods of Python's str and dict, and of Jinja's loop.
#ifndef TANDEM_MODEL_JINJA_METHODS_H_
#define TANDEM_MODEL_JINJA_METHODS_H_

#include <string_view>

#include "common/status.h"
#include "model/jinja_arguments.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

// text.name(...). InvalidArgument for other methods, with the known ones.
// REQUIRES: object is a text.
StatusOr<Value> CallTextMethod(const Value& object, std::string_view name,
                               const Arguments& arguments, Budget* budget);

// REQUIRES: object is a dict.
StatusOr<Value> CallDictMethod(const Value& object, std::string_view name,
                               const Arguments& arguments, Budget* budget);

// [(key, value), ...] in the form that the caller's kind of call returns.
StatusOr<Value> DictItems(const Dict& dict, SequenceForm form, Budget* budget);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_METHODS_H_
