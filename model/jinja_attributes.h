// What follows a dot or stands in brackets: items, attributes, methods.
#ifndef TANDEM_MODEL_JINJA_ATTRIBUTES_H_
#define TANDEM_MODEL_JINJA_ATTRIBUTES_H_

#include <string_view>

#include "common/status.h"
#include "model/jinja_arguments.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

// object.name, where it is not called. Undefined where there is no such thing;
// InvalidArgument where the object itself is undefined, and for Python's
// methods, which are values in Python but not here.
StatusOr<Value> Attribute(const Value& object, std::string_view name);
// object[key]: an item, else an attribute.
StatusOr<Value> Subscript(const Value& object, const Value& key,
                          Budget* budget);
// "a.b.0" as in |map(attribute="a.b.0").
StatusOr<Value> AttributePath(const Value& object, const Value& path,
                              Budget* budget);
// object.name(...). InvalidArgument for unknown methods, with the known ones.
StatusOr<Value> CallMethod(const Value& object, std::string_view name,
                           const Arguments& arguments, Budget* budget);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_ATTRIBUTES_H_
