#include "model/jinja_template.h"

#include <utility>

#include "model/jinja_interpreter.h"
#include "model/jinja_parser.h"

namespace tandem::jinja {

StatusOr<Template> Template::Parse(std::string_view source, std::string name) {
  StatusOr<Body> body = jinja::Parse(source);
  if (!body.ok()) return Annotate(body.status(), name);
  Template parsed;
  parsed.body_ = std::make_shared<const Body>(*std::move(body));
  parsed.name_ = std::move(name);
  return parsed;
}

StatusOr<Text> Template::Render(const Variables& variables, TimePoint now,
                                const Budget& budget) const {
  auto outermost = std::make_shared<Scope>();
  outermost->values = variables;
  Interpreter interpreter(std::move(outermost), now, budget);
  StatusOr<Text> text = interpreter.Render(*body_);
  if (text.ok()) return text;
  return Annotate(text.status(),
                  fmt::format("{}, line {}", name_, interpreter.error_line()));
}

}  // namespace tandem::jinja
