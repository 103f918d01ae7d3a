// Python's operators on values. InvalidArgument names the operator and the
// types where Python raises TypeError, and where an integer leaves 64 bits.
#ifndef TANDEM_MODEL_JINJA_OPERATORS_H_
#define TANDEM_MODEL_JINJA_OPERATORS_H_

#include <string_view>

#include "common/status.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

// symbol: + - * / // % **
StatusOr<Value> Arithmetic(std::string_view symbol, const Value& left,
                           const Value& right, Budget* budget);
// symbol: == != < <= > >= in, or "not in"
StatusOr<bool> Compare(std::string_view symbol, const Value& left,
                       const Value& right, Budget* budget);
StatusOr<bool> Equal(const Value& left, const Value& right, Budget* budget);
StatusOr<bool> LessThan(const Value& left, const Value& right, Budget* budget);
StatusOr<Value> Negate(const Value& value);
// object[key], by item only; undefined where there is none.
StatusOr<Value> Item(const Value& object, const Value& key, Budget* budget);
// object[begin:end:step]; a bound that is None or undefined was left out.
StatusOr<Value> Slice(const Value& object, const Value& begin, const Value& end,
                      const Value& step, Budget* budget);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_OPERATORS_H_
