// crc32c, csv_file and tensorboard_file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crc32c.h"
#include "common/csv_file.h"
#include "common/files.h"
#include "common/tensorboard_file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::testing::HasSubstr;

// RFC 3720, appendix B.4.
TEST(Crc32c, HasTheValuesOfItsStandard) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(TensorBoard, EventsAreProtocolBuffers) {
  const TimePoint time{Seconds(1.5)};
  const std::string wall_time("\x09\0\0\0\0\0\0\xf8\x3f", 9);
  EXPECT_EQ(VersionEvent(time), wall_time + "\x1a\x0d" + "brain.Event:2");
  EXPECT_EQ(ScalarsEvent(time, 300, {{"a", 1.0}}),
            wall_time + std::string("\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01"
                                    "a\x15\0\0\x80\x3f",
                                    15));
}

TEST(TensorBoard, RecordsHaveLengthAndChecksums) {
  const std::string record = TensorBoardRecord("abc");
  ASSERT_EQ(record.size(), 8u + 4 + 3 + 4);
  EXPECT_EQ(record.substr(0, 8), std::string("\3\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(record.substr(12, 3), "abc");
}

TEST(TensorBoard, AFolderThatIsMissingIsAnError) {
  const SystemClock clock;
  EXPECT_THAT(TensorBoardFile::Create("/no/such/folder", clock),
              StatusIs(StatusCode::kInternal, HasSubstr("/no/such/folder")));
}

TEST(CsvFile, GoesOnBehindTheLastRowOfACheckpoint) {
  const TempFolder folder;
  const auto path = folder / "metrics.csv";
  {
    auto file = CsvFile::Open(path, {"step", "loss", "validation"}, 0);
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(file->Write(1, {0.5, std::nullopt}), IsOk());
    ASSERT_THAT(file->Write(2, {1e-12, 3}), IsOk());
    ASSERT_THAT(file->Write(3, {0.25, std::nullopt}), IsOk());
  }
  EXPECT_EQ(*ReadFile(path),
            "step,loss,validation\n1,0.5,\n2,1e-12,3\n3,0.25,\n");
  {
    auto file = CsvFile::Open(path, {"step", "loss", "validation"}, 2);
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(file->Write(3, {4, 5}), IsOk());
  }
  EXPECT_EQ(*ReadFile(path),
            "step,loss,validation\n1,0.5,\n2,1e-12,3\n3,4,5\n");
}

TEST(CsvFile, OtherColumnsAndTornRowsAreReplaced) {
  const TempFolder folder;
  const auto path = folder / "metrics.csv";
  ASSERT_THAT(WriteFileAtomically(path, "step,loss\n1,2\n2,3\n3"), IsOk());
  ASSERT_THAT(CsvFile::Open(path, {"step", "loss"}, 9), IsOk());
  EXPECT_EQ(*ReadFile(path), "step,loss\n1,2\n2,3\n");
  ASSERT_THAT(CsvFile::Open(path, {"step", "speed"}, 9), IsOk());
  EXPECT_EQ(*ReadFile(path), "step,speed\n");
}

}  // namespace
}  // namespace tandem
