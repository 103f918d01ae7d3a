#include "model/shuffled_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "tests/testing/gzip.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::tandem::testing::WriteGzip;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// Windows of some 40 lines, blocks of some 10.
constexpr ShuffleOptions kSmallWindows = {
    .seed = 5, .window_bytes = 400, .block_bytes = 100};

class LinesTest : public ::testing::TestWithParam<bool> {
 protected:
  // As it is, or as a gzip file.
  std::filesystem::path Write(const std::string& text) {
    const std::filesystem::path path = folder_ / "lines";
    if (GetParam()) {
      WriteGzip(path, text);
    } else {
      std::ofstream(path, std::ios::binary) << text;
    }
    return path;
  }
  // "line 0\n" and so on, with blank lines between.
  std::filesystem::path WriteLines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text += "line " + std::to_string(i) + "\n";
      if (i % 7 == 0) text += " \r\n";
    }
    return Write(text);
  }
  static ShuffledLines Open(const std::filesystem::path& path,
                            const ShuffleOptions& options = kSmallWindows) {
    auto lines = ShuffledLines::Open(path, options);
    EXPECT_THAT(lines, IsOk());
    return *std::move(lines);
  }
  static std::vector<std::string> Take(ShuffledLines& lines, int count) {
    std::vector<std::string> taken;
    for (int i = 0; i < count; ++i) {
      const auto line = lines.Next();
      EXPECT_THAT(line, IsOk());
      if (line.ok()) taken.emplace_back(line->text);
    }
    return taken;
  }
  const TempFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(PlainAndGzip, LinesTest, ::testing::Bool());

TEST_P(LinesTest, ReaderGivesLinesAndNumbersAndCutsLongOnes) {
  std::string text = "a\n\nb\r\n";
  text += std::string(kMaxLineBytes + 300'000, 'x') + "\nlast";
  auto reader = LineReader::Open(Write(text));
  ASSERT_THAT(reader, IsOk());
  EXPECT_EQ(reader->is_gzip(), GetParam());
  std::vector<std::string> lines;
  while (true) {
    const auto line = reader->Next();
    ASSERT_THAT(line, IsOk());
    if (!*line) break;
    EXPECT_EQ((*line)->number, static_cast<int64_t>(lines.size()) + 1);
    lines.emplace_back((*line)->text);
  }
  ASSERT_THAT(lines, SizeIs(5));
  EXPECT_EQ(lines[3].size(), kMaxLineBytes);
  lines[3].clear();
  EXPECT_THAT(lines, ElementsAre("a", "", "b\r", "", "last"));
  EXPECT_EQ(reader->offset(), static_cast<int64_t>(text.size()));
}

TEST_P(LinesTest, EveryEpochHasEachLineOnceInANewOrder) {
  constexpr int kLines = 500;
  ShuffledLines lines = Open(WriteLines(kLines));
  std::vector<std::vector<std::string>> epochs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    epochs.push_back(Take(lines, kLines));
    EXPECT_EQ(lines.position().epoch, epoch);
    EXPECT_THAT(
        std::set<std::string>(epochs.back().begin(), epochs.back().end()),
        SizeIs(kLines));
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
}

TEST_P(LinesTest, NumbersAreThoseOfTheFile) {
  ShuffledLines lines = Open(WriteLines(300));
  for (int i = 0; i < 300; ++i) {
    const auto line = lines.Next();
    ASSERT_THAT(line, IsOk());
    const int index = std::stoi(std::string(line->text.substr(5)));
    // One blank line after each multiple of 7 before it.
    EXPECT_EQ(line->number, 1 + index + (index + 6) / 7);
  }
}

TEST_P(LinesTest, TheSeedDecides) {
  const std::filesystem::path path = WriteLines(200);
  ShuffledLines one = Open(path), two = Open(path);
  ShuffleOptions other_seed = kSmallWindows;
  other_seed.seed = 6;
  ShuffledLines three = Open(path, other_seed);
  const auto first = Take(one, 200);
  EXPECT_EQ(first, Take(two, 200));
  EXPECT_NE(first, Take(three, 200));
}

TEST_P(LinesTest, GoesOnFromAPosition) {
  constexpr int kLines = 300;
  const std::filesystem::path path = WriteLines(kLines);
  for (const int before : {0, 1, 39, 150, 299, 300, 301, 480}) {
    ShuffledLines whole = Open(path), resumed = Open(path);
    Take(whole, before);
    ASSERT_THAT(resumed.Seek(whole.position()), IsOk());
    EXPECT_EQ(Take(resumed, kLines), Take(whole, kLines)) << before;
  }
}

TEST_P(LinesTest, SeekRefusesWhatIsNotThere) {
  ShuffledLines lines = Open(WriteLines(30));
  for (const LinePosition& position :
       {LinePosition{-1, 0, 0}, LinePosition{0, -1, 0}, LinePosition{0, 0, -1},
        LinePosition{0, 0, 1000}, LinePosition{0, 1'000'000, 1}}) {
    EXPECT_THAT(lines.Seek(position), StatusIs(StatusCode::kInvalidArgument));
  }
}

TEST_P(LinesTest, BlankAndEmptyFilesAreRefused) {
  for (const char* text : {"", "\n \n\t\r\n"}) {
    ShuffledLines lines = Open(Write(text));
    EXPECT_THAT(lines.Next(), StatusIs(StatusCode::kInvalidArgument,
                                       HasSubstr("nothing but blank lines")));
  }
  EXPECT_THAT(ShuffledLines::Open(folder_ / "absent", kSmallWindows),
              StatusIs(StatusCode::kNotFound));
}

TEST(ShuffledLinesTest, ASmallFileIsShuffledWhole) {
  const TempFolder folder;
  std::ofstream(folder / "lines") << "a\nb\nc\nd\ne\nf\ng\nh\n";
  auto lines = ShuffledLines::Open(folder / "lines", {});
  ASSERT_THAT(lines, IsOk());
  std::string order;
  for (int i = 0; i < 8; ++i) order += lines->Next()->text;
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
}

// The first lines handed out come from all over a file much larger than a
// window.
TEST(ShuffledLinesTest, BlocksComeFromTheWholeFile) {
  const TempFolder folder;
  {
    std::ofstream out(folder / "lines");
    for (int i = 0; i < 10'000; ++i) out << i << '\n';
  }
  auto lines = ShuffledLines::Open(folder / "lines", kSmallWindows);
  ASSERT_THAT(lines, IsOk());
  double sum = 0;
  int largest = 0, smallest = 10'000;
  for (int i = 0; i < 300; ++i) {
    const int value = std::stoi(std::string(lines->Next()->text));
    sum += value;
    largest = std::max(largest, value);
    smallest = std::min(smallest, value);
  }
  EXPECT_NEAR(sum / 300, 5000, 2000);
  EXPECT_GT(largest - smallest, 6000);
}

TEST(ShuffledLinesTest, ADamagedGzipFileIsNamed) {
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919) + "\n";
  WriteGzip(folder / "whole.gz", text);
  std::filesystem::copy_file(folder / "whole.gz", folder / "cut.gz");
  const auto size = std::filesystem::file_size(folder / "cut.gz");
  std::filesystem::resize_file(folder / "cut.gz", size / 2);
  auto lines = ShuffledLines::Open(folder / "cut.gz", {});
  ASSERT_THAT(lines, IsOk());
  EXPECT_THAT(lines->Next(), StatusIs(StatusCode::kInvalidArgument,
                                      HasSubstr("damaged or cut off")));
}

TEST(ShuffledLinesTest, AFileThatShrinksIsNamed) {
  const TempFolder folder;
  std::ofstream(folder / "lines") << "a\nb\nc\n";
  auto lines = ShuffledLines::Open(folder / "lines", {});
  ASSERT_THAT(lines, IsOk());
  std::filesystem::resize_file(folder / "lines", 2);
  EXPECT_THAT(lines->Next(), StatusIs(StatusCode::kFailedPrecondition,
                                      HasSubstr("line 2 is missing")));
}

}  // namespace
}  // namespace tandem
