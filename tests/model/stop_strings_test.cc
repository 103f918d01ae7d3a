#include "model/stop_strings.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

// The text cut into pieces of every size gives the same.
std::string Shown(const std::vector<std::string>& stops,
                  const std::string& text, bool stopped) {
  std::string first;
  for (size_t size = 1; size <= text.size(); ++size) {
    StopStrings watch(stops);
    std::string shown;
    for (size_t at = 0; at < text.size(); at += size)
      shown += watch.Push(text.substr(at, size));
    EXPECT_EQ(watch.stopped(), stopped) << size;
    shown += watch.Flush();
    if (size == 1) first = shown;
    EXPECT_EQ(shown, first) << size;
  }
  return first;
}

TEST(StopStrings, CutTheTextBeforeTheFirst) {
  EXPECT_EQ(Shown({"END"}, "so it is. END of it", true), "so it is. ");
  EXPECT_EQ(Shown({"b", "ab"}, "xxab", true), "xx");
  EXPECT_EQ(Shown({"aab"}, "aaab", true), "a");
  EXPECT_EQ(Shown({"\n\n", ""}, "a\nb\n\nc", true), "a\nb");
}

TEST(StopStrings, KeepNothingBackInTheEnd) {
  EXPECT_EQ(Shown({"END"}, "the EN", false), "the EN");
  EXPECT_EQ(Shown({}, "all", false), "all");
  EXPECT_EQ(Shown({"nowhere"}, "now here", false), "now here");
}

TEST(StopStrings, ShowNoPartOfOneTooEarly) {
  StopStrings watch({"</s>"});
  EXPECT_EQ(watch.Push("a</"), "a");
  EXPECT_EQ(watch.Push("b"), "</b");
  EXPECT_EQ(watch.Push("<"), "");
  EXPECT_EQ(watch.Push("/s>c"), "");
  EXPECT_TRUE(watch.stopped());
  EXPECT_EQ(watch.Push("d"), "");
  EXPECT_EQ(watch.Flush(), "");
}

}  // namespace
}  // namespace tandem
