// Values as text, to the byte as Python prints them.
#ifndef TANDEM_MODEL_JINJA_FORMAT_H_
#define TANDEM_MODEL_JINJA_FORMAT_H_

#include <optional>

#include "common/status.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

// str(value), which is also what {{ value }} writes; nothing for what is
// undefined. InvalidArgument for values whose text would not make sense in a
// prompt (functions, generators), and for non-ASCII text inside a list, whose
// escapes depend on Python's version of Unicode.
StatusOr<Text> ToText(const Value& value, Budget* budget);

struct JsonFormat {
  std::optional<int64_t> indent;  // spaces a level; all on one line without
  bool sort_keys = false;
};

// json.dumps(value, ensure_ascii=False), as transformers' tojson has it.
StatusOr<Text> ToJson(const Value& value, const JsonFormat& format,
                      Budget* budget);

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_FORMAT_H_
