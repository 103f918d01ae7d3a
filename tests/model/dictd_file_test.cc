#include "model/dictd_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "model/gzip_file.h"
#include "tests/testing/gzip.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::tandem::testing::WriteGzip;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(DictdNumberTest, ReadsBase64MostSignificantFirst) {
  EXPECT_EQ(*ParseDictdNumber("A"), 0);
  EXPECT_EQ(*ParseDictdNumber("Z"), 25);
  EXPECT_EQ(*ParseDictdNumber("a"), 26);
  EXPECT_EQ(*ParseDictdNumber("9"), 61);
  EXPECT_EQ(*ParseDictdNumber("+"), 62);
  EXPECT_EQ(*ParseDictdNumber("/"), 63);
  EXPECT_EQ(*ParseDictdNumber("BA"), 64);
  EXPECT_EQ(
      *ParseDictdNumber("B2Ej4"),
      64LL * 64 * 64 * 64 + 54LL * 64 * 64 * 64 + 4 * 64 * 64 + 35 * 64 + 56);
  EXPECT_EQ(*ParseDictdNumber("//////////"), (int64_t{1} << 60) - 1);
}

TEST(DictdNumberTest, RefusesWhatIsNone) {
  EXPECT_THAT(ParseDictdNumber(""), IsInvalid("0 base64 digits"));
  EXPECT_THAT(ParseDictdNumber("A-B"), IsInvalid("'A-B' is no base64 number"));
  EXPECT_THAT(ParseDictdNumber("A="), IsInvalid("no base64 number"));
  EXPECT_THAT(ParseDictdNumber("AAAAAAAAAAA"), IsInvalid("11 base64 digits"));
}

class DictdFilesTest : public ::testing::Test {
 protected:
  StatusOr<std::vector<DictdEntry>> Read(const std::string& index,
                                         const std::string& text) {
    EXPECT_THAT(WriteFileAtomically(index_, index), IsOk());
    WriteGzip(text_, text);
    return ReadDictdFiles(index_, text_);
  }
  TempFolder folder_;
  std::filesystem::path index_ = folder_ / "d.index";
  std::filesystem::path text_ = folder_ / "d.dict.dz";
};

TEST_F(DictdFilesTest, GroupsTheHeadwordsOfAText) {
  const auto entries = Read(
      "00-database-short\tA\tD\n"
      "beta\tG\tD\n"
      "other\tD\tD\n"
      "two\tG\tD\tTwo\n",
      "abcdefghi");
  ASSERT_THAT(entries, IsOk());
  ASSERT_THAT(*entries, SizeIs(2));
  EXPECT_THAT((*entries)[0].headwords, ElementsAre("other"));
  EXPECT_EQ((*entries)[0].text, "def");
  EXPECT_THAT((*entries)[1].headwords, ElementsAre("beta", "two"));
  EXPECT_EQ((*entries)[1].text, "ghi");
}

TEST_F(DictdFilesTest, TextIsValidUtf8) {
  const auto entries = Read("a\xFF\tA\tC\n", "x\xC3");
  ASSERT_THAT(entries, IsOk());
  EXPECT_EQ((*entries)[0].text, "x\uFFFD");
  EXPECT_EQ((*entries)[0].headwords[0], "a\uFFFD");
}

TEST_F(DictdFilesTest, AnEmptyIndexHasNoEntries) {
  EXPECT_THAT(*Read("", "text"), IsEmpty());
}

TEST_F(DictdFilesTest, MalformedLinesAreNamed) {
  const std::string where = index_.string() + ":2: ";
  const auto refuses = [&](const std::string& line, const std::string& what) {
    EXPECT_THAT(Read("fine\tA\tB\n" + line + "\n", "abcdefghi"),
                IsInvalid(where + what));
  };
  refuses("headword", "expected headword, offset and length");
  refuses("headword\tA", "expected headword, offset and length");
  refuses("", "expected headword, offset and length");
  refuses("headword\tA!\tB", "'A!' is no base64 number");
  refuses("headword\tA\tB B", "'B B' is no base64 number");
  refuses("headword\t\tB", "a number of 0 base64 digits");
  refuses("headword\tJ\tB", "1 bytes at offset 9 pass the end");
  refuses("headword\tA\tK", "10 bytes at offset 0 pass the end");
  refuses("headword\t//////////\t//////////", "1152921504606846975 bytes");
}

TEST_F(DictdFilesTest, TheLastByteIsWithinTheText) {
  const auto entries = Read("word\tI\tB", "abcdefghi");
  ASSERT_THAT(entries, IsOk());
  EXPECT_EQ((*entries)[0].text, "i");
}

TEST_F(DictdFilesTest, MissingFilesAreNotFound) {
  EXPECT_THAT(ReadDictdFiles(index_, text_),
              StatusIs(StatusCode::kNotFound, HasSubstr("d.index")));
  EXPECT_THAT(WriteFileAtomically(index_, "a\tA\tB\n"), IsOk());
  EXPECT_THAT(ReadDictdFiles(index_, text_),
              StatusIs(StatusCode::kNotFound, HasSubstr("d.dict.dz")));
}

class GzipFileTest : public ::testing::Test {
 protected:
  // Hard to compress, so that every byte of the file matters.
  static std::string Text() {
    std::string text;
    uint32_t state = 1;
    for (int i = 0; i < 300000; ++i) {
      state = state * 1664525 + 1013904223;
      text.push_back(static_cast<char>(state >> 24));
    }
    return text;
  }
  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "file.gz";
};

TEST_F(GzipFileTest, UnpacksWhatWasPacked) {
  WriteGzip(path_, Text());
  EXPECT_EQ(*ReadGzipFile(path_, 300000), Text());
  WriteGzip(path_, "");
  EXPECT_EQ(*ReadGzipFile(path_, 300000), "");
}

TEST_F(GzipFileTest, StopsAtTheLimit) {
  WriteGzip(path_, Text());
  EXPECT_THAT(ReadGzipFile(path_, 299999),
              IsInvalid("unpacks to more than 299999 bytes"));
}

TEST_F(GzipFileTest, RefusesDamage) {
  WriteGzip(path_, Text());
  const std::string packed = *ReadFile(path_);
  for (size_t size :
       {packed.size() - 1, packed.size() - 9, packed.size() / 2, size_t{20}}) {
    EXPECT_THAT(WriteFileAtomically(path_, packed.substr(0, size)), IsOk());
    EXPECT_THAT(ReadGzipFile(path_, 1 << 20), IsInvalid("damaged or cut off"))
        << size;
  }
  std::string flipped = packed;
  flipped[packed.size() / 2] ^= 1;
  EXPECT_THAT(WriteFileAtomically(path_, flipped), IsOk());
  EXPECT_THAT(ReadGzipFile(path_, 1 << 20), IsInvalid("damaged or cut off"));
}

TEST_F(GzipFileTest, RefusesOtherFiles) {
  EXPECT_THAT(WriteFileAtomically(path_, "plain text"), IsOk());
  EXPECT_THAT(ReadGzipFile(path_, 1 << 20), IsInvalid("is no gzip file"));
  EXPECT_THAT(WriteFileAtomically(path_, ""), IsOk());
  EXPECT_THAT(ReadGzipFile(path_, 1 << 20), IsInvalid("is no gzip file"));
}

}  // namespace
}  // namespace tandem
