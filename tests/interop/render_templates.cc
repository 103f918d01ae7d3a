// Our Jinja as test_jinja.py and test_chat_template.py ask it. usage:
// render_templates REQUEST.json, a file with a list of
//   template   Jinja source
//   variables  an object of what it may use; the text in `messages` has an
//              origin of its own, as a conversation's has
//   now        seconds since the epoch, for strftime_now
// Prints a list, in their order, of {"text", "messages": [[begin, end]],
// "generated": [[begin, end]]} - the bytes that came from `messages`, those
// that {% generation %} wrote - or {"error"}.
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/files.h"
#include "model/jinja_template.h"

namespace tandem {
namespace {

using nlohmann::ordered_json;

// Stretches of runs that `matches`.
template <typename Matches>
ordered_json Spans(const jinja::Text& text, Matches matches) {
  ordered_json spans = ordered_json::array();
  size_t begin = 0;
  for (const jinja::Text::Run& run : text.runs()) {
    if (matches(run.origin)) {
      if (!spans.empty() && spans.back()[1] == begin) {
        spans.back()[1] = run.end;
      } else {
        spans.push_back({begin, run.end});
      }
    }
    begin = run.end;
  }
  return spans;
}

StatusOr<jinja::Text> Render(const ordered_json& request) {
  TANDEM_ASSIGN_OR_RETURN(
      const jinja::Template parsed,
      jinja::Template::Parse(request.at("template").get<std::string>(),
                             "test"));
  jinja::Budget budget(int64_t{1} << 25);
  jinja::Variables variables;
  for (const auto& [name, json] : request.at("variables").items()) {
    const jinja::Origin origin = {name == "messages", false};
    TANDEM_ASSIGN_OR_RETURN(variables[name],
                            jinja::FromJson(json, origin, &budget));
  }
  return parsed.Render(variables, TimePoint(Seconds(request.value("now", 0))),
                       budget);
}

ordered_json Answer(const ordered_json& request) {
  const StatusOr<jinja::Text> text = Render(request);
  if (!text.ok()) return {{"error", ToString(text.status())}};
  return {{"text", text->bytes()},
          {"messages",
           Spans(*text, [](const jinja::Origin& o) { return o.source != 0; })},
          {"generated", Spans(*text, [](const jinja::Origin& o) {
             return o.is_generated;
           })}};
}

Status Run(const std::string& path) {
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ordered_json answers = ordered_json::array();
  for (const ordered_json& request : ordered_json::parse(text)) {
    answers.push_back(Answer(request));
  }
  std::cout << answers << "\n";
  return OkStatus();
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: render_templates REQUEST.json\n";
    return 2;
  }
  const tandem::Status status = tandem::CatchExceptions(
      "render_templates", [&] { return tandem::Run(argv[1]); });
  if (status.ok()) return EXIT_SUCCESS;
  std::cerr << tandem::ToString(status) << "\n";
  return EXIT_FAILURE;
}
