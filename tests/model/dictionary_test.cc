#include "model/dictionary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "common/digest.h"
#include "common/files.h"
#include "model/examples.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Made-up entries in the layouts of the real dictionaries.

TEST(CleanEntryTest, ListsSensesLikeWordNet) {
  const Definition definition =
      CleanEntry({{"widget"},
                  "Widget\n"
                  "    n 1: a small thing that one\n"
                  "         turns; \"he lost a   widget\" [syn: {gadget},\n"
                  "         {widget}]\n"
                  "    2: 3 of them\n"
                  "    adj 1: widget-like\n\n"});
  EXPECT_EQ(definition.headword, "Widget");
  EXPECT_EQ(definition.definition,
            "n 1: a small thing that one turns; \"he lost a widget\" [syn: "
            "{gadget}, {widget}]\n"
            "2: 3 of them\n"
            "adj 1: widget-like");
  EXPECT_THAT(definition.names, ElementsAre("widget"));
}

TEST(CleanEntryTest, JoinsParagraphsLikeTheJargonFile) {
  const Definition definition = CleanEntry(
      {{"frobozz"},
       "Frobozz\n /fro'boz/, n.\n\n    [from a game] The thing that\n"
       "    one frobs.\n\n    See {frob}.\n\n\n"});
  EXPECT_EQ(definition.headword, "Frobozz");
  EXPECT_EQ(definition.definition,
            "/fro'boz/, n.\n[from a game] The thing that one frobs.\n"
            "See {frob}.");
}

TEST(CleanEntryTest, TakesAliasesAndDatesOffLikeFoldoc) {
  const Definition definition =
      CleanEntry({{"!?", "bang query"},
                  "Bang Query\n!?\ninterrobang\n\n   <character> A mark\n"
                  "   of surprise.\r\n\n   (1998-09-17)\n\n\n"});
  EXPECT_EQ(definition.headword, "Bang Query");
  EXPECT_EQ(definition.definition, "<character> A mark of surprise.");
  EXPECT_THAT(definition.names, ElementsAre("bang query", "!?", "interrobang"));
}

TEST(CleanEntryTest, FallsBackToTheIndex) {
  const Definition definition = CleanEntry({{"thing", "Thong"}, "  a body\n"});
  EXPECT_EQ(definition.headword, "thing");
  EXPECT_EQ(definition.definition, "a body");
  EXPECT_THAT(definition.names, ElementsAre("thing", "thong"));
}

TEST(CleanEntryTest, ABodyWithoutLettersIsEmpty) {
  EXPECT_EQ(CleanEntry({{"a"}, "a\n //\n\n (1999)\n"}).definition, "");
  EXPECT_EQ(CleanEntry({{"a"}, ""}).definition, "");
  EXPECT_EQ(CleanEntry({{"a"}, "a\n ©\n"}).definition, "©");
}

std::string DictdNumber(size_t number) {
  const std::string digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  do {
    text.insert(text.begin(), digits[number % 64]);
  } while ((number /= 64) > 0);
  return text;
}

using Terms = std::vector<std::pair<std::string, std::string>>;

class SplitDictionariesTest : public ::testing::Test {
 protected:
  // Writes a dictionary whose entries are "term\n    definition\n".
  void Write(const std::string& name, const Terms& terms) {
    std::string text, index;
    for (const auto& [term, definition] : terms) {
      const std::string entry = term + "\n    " + definition + "\n\n";
      index += term + "\t" + DictdNumber(text.size()) + "\t" +
               DictdNumber(entry.size()) + "\n";
      text += entry;
    }
    files_.push_back(DictionaryIn(folder_.path(), name));
    ASSERT_THAT(WriteFileAtomically(files_.back().index, index), IsOk());
    gzFile file = gzopen(files_.back().text.c_str(), "wb");
    gzwrite(file, text.data(), text.size());
    ASSERT_EQ(gzclose(file), Z_OK);
  }

  static Terms ManyTerms(const std::string& stem, int count) {
    Terms terms;
    for (int i = 0; i < count; ++i) {
      const std::string term = stem + std::to_string(i);
      terms.push_back({term, "What " + term + " means, at some length."});
    }
    return terms;
  }

  static std::vector<std::string> Headwords(
      const std::vector<Definition>& definitions) {
    std::vector<std::string> headwords;
    for (const Definition& one : definitions) headwords.push_back(one.headword);
    return headwords;
  }

  TempFolder folder_;
  std::vector<DictionaryFiles> files_;
  DictionaryOptions options_;
};

TEST_F(SplitDictionariesTest, DropsWhatOccursInMoreThanOne) {
  Write("a", {{"Only A", "a definition of some length"},
              {"Both", "another definition of some length"}});
  Write("b", {{"bOTH", "a third definition of some length"},
              {"only b", "a fourth definition of some length"}});
  const auto splits = SplitDictionaries(files_, options_);
  ASSERT_THAT(splits, IsOk());
  ASSERT_THAT(*splits, SizeIs(2));
  for (const DictionarySplit& split : *splits) {
    EXPECT_EQ(split.entries, 2);
    EXPECT_EQ(split.dropped_shared, 1);
    EXPECT_EQ(split.train.size() + split.held_out.size(), 1u);
  }
}

TEST_F(SplitDictionariesTest, AnAliasCountsAsShared) {
  Write("a", {{"Long Name\nLN", "a definition of some length"},
              {"kept", "another definition of some length"}});
  Write("b", {{"ln", "a third definition of some length"},
              {"kept too", "a fourth definition of some length"}});
  // The index of "a" has broken lines; mend it by hand.
  ASSERT_THAT(
      WriteFileAtomically(files_[0].index, "long name\tA\tu\nkept\tu\tp\n"),
      IsOk());
  const auto splits = SplitDictionaries(files_, options_);
  ASSERT_THAT(splits, IsOk());
  EXPECT_EQ((*splits)[0].dropped_shared, 1);
  EXPECT_EQ((*splits)[1].dropped_shared, 1);
}

TEST_F(SplitDictionariesTest, DropsShortAndRepeated) {
  Write("a", {{"one", "a definition of some length"},
              {"two", "a definition of some length"},  // the same text
              {"One", "another definition of some length"},
              {"three", "See {one}."},
              {"four", "(1998)"}});
  options_.held_out_share = 0;
  const auto splits = SplitDictionaries(files_, options_);
  ASSERT_THAT(splits, IsOk());
  const DictionarySplit& split = splits->front();
  EXPECT_THAT(Headwords(split.train), ElementsAre("one"));
  EXPECT_EQ(split.entries, 5);
  EXPECT_EQ(split.dropped_short, 2);
  EXPECT_EQ(split.dropped_duplicate, 2);
  EXPECT_EQ(split.dropped_shared, 0);
}

TEST_F(SplitDictionariesTest, HoldsOutTheShareByHash) {
  Write("a", ManyTerms("Term", 3000));
  options_.held_out_share = 0.25;
  const auto splits = SplitDictionaries(files_, options_);
  ASSERT_THAT(splits, IsOk());
  const DictionarySplit& split = splits->front();
  EXPECT_EQ(split.train.size() + split.held_out.size(), 3000u);
  // Binomial(3000, 0.25): five standard deviations are 119.
  EXPECT_NEAR(split.held_out.size(), 750, 119);
  // The definition: the hash of the lower-cased headword, as a fraction.
  const auto hash = [](const Definition& definition) {
    return Sha256Hex("term" + definition.headword.substr(4));
  };
  for (const Definition& one : split.held_out) EXPECT_LT(hash(one), "4");
  for (const Definition& one : split.train) EXPECT_GE(hash(one), "4");
  const auto by_hash = [&](const Definition& a, const Definition& b) {
    return hash(a) < hash(b);
  };
  EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end(), by_hash));
  EXPECT_TRUE(
      std::is_sorted(split.held_out.begin(), split.held_out.end(), by_hash));
}

TEST_F(SplitDictionariesTest, ALargerShareHoldsOutAllOfASmallerOne) {
  Write("a", ManyTerms("term", 500));
  options_.held_out_share = 0.1;
  const auto small = SplitDictionaries(files_, options_);
  options_.held_out_share = 0.3;
  const auto large = SplitDictionaries(files_, options_);
  const std::vector<std::string> few = Headwords(small->front().held_out);
  const std::vector<std::string> many = Headwords(large->front().held_out);
  ASSERT_LT(few.size(), many.size());
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
}

TEST_F(SplitDictionariesTest, TheEdgesOfTheShare) {
  Write("a", ManyTerms("term", 50));
  options_.held_out_share = 0;
  EXPECT_THAT(SplitDictionaries(files_, options_)->front().held_out, IsEmpty());
  options_.held_out_share = 1;
  EXPECT_THAT(SplitDictionaries(files_, options_)->front().train, IsEmpty());
}

TEST_F(SplitDictionariesTest, RefusesBadOptions) {
  Write("a", ManyTerms("term", 5));
  options_.held_out_share = 1.5;
  EXPECT_THAT(SplitDictionaries(files_, options_),
              IsInvalid("held-out share is 1.5, expected 0 to 1"));
  options_.held_out_share = std::nan("");
  EXPECT_THAT(SplitDictionaries(files_, options_), IsInvalid("share is nan"));
  options_.held_out_share = 0.1;
  files_.push_back(files_[0]);
  EXPECT_THAT(SplitDictionaries(files_, options_),
              IsInvalid("dictionary 'a' is named twice"));
}

TEST_F(SplitDictionariesTest, RefusesADictionaryWithNothingLeft) {
  Write("a", {{"one", "short"}});
  EXPECT_THAT(SplitDictionaries(files_, options_),
              IsInvalid("nothing is left of dictionary 'a': of 1 entries"));
}

TEST_F(SplitDictionariesTest, NamesAMissingFile) {
  files_.push_back(DictionaryIn(folder_.path(), "absent"));
  EXPECT_THAT(SplitDictionaries(files_, options_),
              StatusIs(StatusCode::kNotFound, HasSubstr("absent.index")));
}

TEST_F(SplitDictionariesTest, WritesWhatExamplesRead) {
  Write("a", {{"Quote\"d", "A définition with \\ and some length."}});
  options_.held_out_share = 0;
  const auto splits = SplitDictionaries(files_, options_);
  ASSERT_THAT(splits, IsOk());
  const std::filesystem::path out = folder_ / "new" / "folder";
  ASSERT_THAT(WriteDictionarySplit(splits->front(), out), IsOk());
  EXPECT_EQ(*ReadFile(out / "a.train.jsonl"),
            R"({"prompt":"Define: Quote\"d","completion":)"
            R"("A définition with \\ and some length."})"
            "\n");
  EXPECT_EQ(*ReadFile(out / "a.heldout.jsonl"), "");
  const auto examples = ReadExamples(out / "a.train.jsonl");
  ASSERT_THAT(examples, IsOk());
  EXPECT_EQ(examples->front().messages[0].content, "Define: Quote\"d");
}

// The three real dictionaries; in the slow suite since it needs data/.
TEST(DictionaryRealModelTest, SplitsTheQuickstartsDictionaries) {
  const std::filesystem::path folder = TANDEM_SOURCE_DIR "/data/dict";
  std::vector<DictionaryFiles> files;
  for (const char* name : {"jargon", "foldoc", "wn"}) {
    files.push_back(DictionaryIn(folder, name));
  }
  const auto splits = SplitDictionaries(files, {});
  ASSERT_THAT(splits, IsOk());
  // Foldoc took in three quarters of the Jargon File.
  const std::map<std::string, size_t> at_least = {
      {"jargon", 400}, {"foldoc", 7000}, {"wn", 90000}};
  std::set<std::string> seen_names;
  for (const DictionarySplit& split : *splits) {
    const size_t kept = split.train.size() + split.held_out.size();
    EXPECT_GE(kept, at_least.at(split.name)) << split.name;
    EXPECT_EQ(static_cast<int64_t>(kept) + split.dropped_short +
                  split.dropped_shared + split.dropped_duplicate,
              split.entries);
    const double share = static_cast<double>(split.held_out.size()) / kept;
    EXPECT_NEAR(share, 0.1, 0.03) << split.name;
    std::set<std::string> texts;
    for (const auto* part : {&split.train, &split.held_out}) {
      for (const Definition& one : *part) {
        EXPECT_TRUE(texts.insert(one.definition).second) << one.headword;
        EXPECT_TRUE(seen_names.insert(Sha256Hex(one.names[0])).second)
            << one.headword;
        EXPECT_EQ(one.definition.find("  "), std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace tandem
