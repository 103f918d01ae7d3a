#include "model/jinja_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/testing/status_matchers.h"

// The interop tests compare with jinja2 itself; here is what it does not have:
// origins, bounds, refusals.
namespace tandem::jinja {
namespace {

using ::tandem::testing::StatusIs;
using ::testing::HasSubstr;

constexpr Origin kUser = {7, false};

StatusOr<Text> Render(const std::string& source, const std::string& json,
                      int64_t units = 1 << 20) {
  Budget budget(units);
  Variables variables;
  const auto given = nlohmann::ordered_json::parse(json);
  for (const auto& [name, value] : given.items())
    variables[name] = *FromJson(value, kUser, &budget);
  const StatusOr<Template> parsed = Template::Parse(source, "test");
  if (!parsed.ok()) return parsed.status();
  return parsed->Render(variables, TimePoint(Duration(0)), budget);
}

// The bytes that came from the variables, others as dots.
std::string FromUser(const std::string& source, const std::string& json) {
  const Text text = *Render(source, json);
  std::string marked = text.bytes();
  for (size_t i = 0; i < marked.size(); ++i) {
    if (text.OriginAt(i).source != kUser.source) marked[i] = '.';
  }
  return marked;
}

TEST(JinjaTemplateTest, RendersStatementsAndExpressions) {
  const StatusOr<Text> text = Render(
      "{% for w in words if w != 'b' %}\n"
      "  {{- loop.index }}:{{ w | upper }}{{ ', ' if not loop.last }}\n"
      "{%- endfor %}\n",
      R"({"words": ["a", "b", "c"]})");
  EXPECT_EQ(text->bytes(), "1:A, 2:C");
}

TEST(JinjaTemplateTest, TextKeepsItsOriginThroughStringFunctions) {
  const std::string json = R"({"s": " ab<c> ", "l": ["x", "y"]})";
  EXPECT_EQ(FromUser("<{{ s | trim }}>", json), ".ab<c>.");
  EXPECT_EQ(FromUser("{{ '<' + s.strip()[1:] ~ '>' }}", json), ".b<c>.");
  EXPECT_EQ(FromUser("{{ l | join('--') }}", json), "x..y");
  EXPECT_EQ(FromUser("{{ s.replace('b', '[b]') | upper }}", json), " A...<C> ");
  EXPECT_EQ(FromUser("{{ s.split('<')[-1] }}", json), "c> ");
  EXPECT_EQ(FromUser("{{ {'k': l} | tojson }}", json), "........x....y...");
  EXPECT_EQ(FromUser("{{ l }}", json), "..x....y..");
  EXPECT_EQ(
      FromUser("{% macro m(a) %}({{ a }}){% endmacro %}{{ m(s)[1:4] }}", json),
      " ab");
  EXPECT_EQ(FromUser("{% set x %}<{{ s[::-1] }}{% endset %}{{ x }}", json),
            ". >c<ba ");
}

TEST(JinjaTemplateTest, GenerationBlocksMarkWhatTheyWrite) {
  const Text text = *Render(
      "a{% generation %}b{{ s }}{% endgeneration %}{{ s }}", R"({"s": "c"})");
  ASSERT_EQ(text.bytes(), "abcc");
  const bool expected[] = {false, true, true, false};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(text.OriginAt(i).is_generated, expected[i]) << i;
  }
}

TEST(JinjaTemplateTest, ErrorsNameTemplateLineAndConstruct) {
  const auto invalid = [](const char* what) {
    return StatusIs(StatusCode::kInvalidArgument, HasSubstr(what));
  };
  EXPECT_THAT(Render("a\n{% block x %}", "{}"),
              invalid("test: line 2: statement 'block'"));
  EXPECT_THAT(Render("a\nb {{ x | sort }}", "{}"),
              invalid("test, line 2: filter 'sort'"));
  EXPECT_THAT(Render("{{ x.y }}", "{}"), invalid("'x' is undefined"));
  EXPECT_THAT(Render("{{ 'a'.zfill(3) }}", "{}"), invalid("'zfill'"));
  EXPECT_THAT(Render("{{ 1 is prime }}", "{}"), invalid("'prime'"));
  EXPECT_THAT(Render("{{ raise_exception('why') }}", "{}"),
              invalid("line 1: why"));
  EXPECT_THAT(Render("{% if 1 %}\n", "{}"), invalid("'endif' is missing"));
}

TEST(JinjaTemplateTest, WorkIsBounded) {
  const auto too_much =
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("units of work"));
  EXPECT_THAT(Render("{% for a in range(9999) %}{% for b in range(9999) %}"
                     "{% endfor %}{% endfor %}",
                     "{}"),
              too_much);
  EXPECT_THAT(Render("{% set n = namespace(s='x') %}{% for i in range(99) %}"
                     "{% set n.s = n.s + n.s %}{% endfor %}",
                     "{}"),
              too_much);
  EXPECT_THAT(Render("{{ 'x' * 99999999999 }}", "{}"), too_much);
  EXPECT_THAT(Render("{{ s }}", R"({"s": "0123456789"})", 80),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("80 units")));
}

TEST(JinjaTemplateTest, DepthIsBounded) {
  const auto too_deep =
      StatusIs(StatusCode::kInvalidArgument,
               ::testing::AnyOf(HasSubstr("nest"), HasSubstr("deep")));
  EXPECT_THAT(Render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{}"),
              too_deep);
  EXPECT_THAT(Render("{{ " + std::string(5000, '(') + "1" +
                         std::string(5000, ')') + " }}",
                     "{}"),
              too_deep);
  std::string sum = "1";
  for (int i = 0; i < 5000; ++i) sum += "+1";
  EXPECT_THAT(Render("{{ " + sum + " }}", "{}"), too_deep);
  EXPECT_THAT(Render("{% set n = namespace(l=[]) %}{% for i in range(999) %}"
                     "{% set n.l = [n.l] %}{% endfor %}",
                     "{}"),
              too_deep);
  EXPECT_THAT(Render("{% set n = namespace() %}{% set n.x = [n] %}", "{}"),
              too_deep);
}

}  // namespace
}  // namespace tandem::jinja
