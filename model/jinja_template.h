// Jinja templates, as far as chat templates use them and as transformers sets
// them up (sandboxed, trim_blocks, lstrip_blocks, loop controls).
//
// In: literals, names, attributes, subscripts, slices, calls, all operators but
// printf's %, inline if, the filters and tests of jinja_filters.h and
// jinja_tests.h, methods of str and dict; if, for, set, macro, generation,
// break, continue; namespace, range, raise_exception, strftime_now. All else is
// refused by name rather than rendered wrongly.
#ifndef TANDEM_MODEL_JINJA_TEMPLATE_H_
#define TANDEM_MODEL_JINJA_TEMPLATE_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/status.h"
#include "model/jinja_syntax.h"
#include "model/jinja_value.h"

namespace tandem::jinja {

using Variables = std::map<std::string, Value, std::less<>>;

// Immutable and thread-safe; copies share one tree.
class Template {
 public:
  // InvalidArgument, led by `name` and the line, for a syntax error and for
  // statements out of the subset.
  static StatusOr<Template> Parse(std::string_view source, std::string name);

  // `now` is the time that strftime_now() tells. InvalidArgument, led by name
  // and line: raise_exception with the template's own message; what Python
  // would raise; filters, tests, methods and functions out of the subset, where
  // one is come upon; and more than `budget` of work.
  StatusOr<Text> Render(const Variables& variables, TimePoint now,
                        const Budget& budget) const;

 private:
  std::shared_ptr<const Body> body_;
  std::string name_;
};

}  // namespace tandem::jinja

#endif  // TANDEM_MODEL_JINJA_TEMPLATE_H_
