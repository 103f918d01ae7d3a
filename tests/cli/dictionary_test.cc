// tandem data dictionary, on two small dictd files.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/testing/run_tandem.h"
#include "tests/testing/temp_folder.h"

namespace tandem::cli {
namespace {

using ::tandem::testing::CommandResult;
using ::tandem::testing::Contents;
using ::tandem::testing::RunTandem;
using ::tandem::testing::ShellQuoted;
using ::tandem::testing::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// dictd's base 64: A-Z a-z 0-9 + /, most significant digit first.
std::string Base64Number(size_t value) {
  const std::string digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  do {
    text.insert(text.begin(), digits[value % 64]);
    value /= 64;
  } while (value > 0);
  return text;
}

void WriteDictionary(const TempFolder& folder, const std::string& name,
                     const std::vector<std::string>& words) {
  std::string text, index;
  for (const std::string& word : words) {
    const std::string entry = word + "\n   What " + name + " says about " +
                              word + " at some length.\n";
    index += word + "\t" + Base64Number(text.size()) + "\t" +
             Base64Number(entry.size()) + "\n";
    text += entry;
  }
  std::ofstream(folder / (name + ".index")) << index;
  std::ofstream(folder / (name + ".dict")) << text;
  const std::string command = "gzip -c " +
                              ShellQuoted(folder / (name + ".dict")) + " >" +
                              ShellQuoted(folder / (name + ".dict.dz"));
  ASSERT_EQ(::system(command.c_str()), 0);
}

TEST(DataDictionaryTest, WritesSplitsAndDropsWhatBothHave) {
  const TempFolder folder;
  WriteDictionary(folder, "one", {"apple", "bear", "cloud", "shared"});
  WriteDictionary(folder, "two", {"dune", "echo", "fern", "shared"});
  const CommandResult result =
      RunTandem({"data", "dictionary", "--input", folder.path(), "--name",
                 "one", "--name", "two", "--out", folder / "out",
                 "--held-out-share", "0.5", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const nlohmann::json json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["dropped_shared"], 1);
  EXPECT_EQ(json[0]["train"].get<int>() + json[0]["held_out"].get<int>(), 3);
  const std::string all = Contents(folder / "out/one.train.jsonl") +
                          Contents(folder / "out/one.heldout.jsonl");
  EXPECT_THAT(all, AllOf(HasSubstr("Define: apple"), HasSubstr("Define: bear"),
                         HasSubstr("Define: cloud"), Not(HasSubstr("shared"))));
}

TEST(DataDictionaryTest, MissingDictionaryIsNamed) {
  const TempFolder folder;
  const CommandResult result =
      RunTandem({"data", "dictionary", "--input", folder.path(), "--name",
                 "none", "--out", folder / "out"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("none.index"));
}

}  // namespace
}  // namespace tandem::cli
