#include "model/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "common/files.h"
#include "model/aten.h"
#include "tests/testing/deep_json.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

std::string LittleEndian64(uint64_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string FileOf(const std::string& header, const std::string& data) {
  return LittleEndian64(header.size()) + header + data;
}

// The status of reading these bytes.
Status StatusOfReading(const std::string& bytes) {
  testing::TempFolder folder;
  const auto path = folder / "t.safetensors";
  EXPECT_THAT(WriteFileAtomically(path, bytes), IsOk());
  return ReadSafetensors(path).status();
}

TensorMap OneOfEachType() {
  TensorMap tensors;
  for (const at::ScalarType type :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
        at::kShort, at::kChar, at::kByte, at::kBool}) {
    tensors[c10::toString(type)] =
        at::arange(6).remainder(2).to(type).view({2, 3});
  }
  return tensors;
}

TEST(Safetensors, ReadsWhatItWrote) {
  testing::TempFolder folder;
  const TensorMap tensors = OneOfEachType();
  ASSERT_THAT(WriteSafetensors(folder / "a", tensors, {{"format", "pt"}}),
              IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Safetensors read,
                              ReadSafetensors(folder / "a"));
  EXPECT_EQ(read.metadata,
            (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(read.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(read.tensors.at(name).equal(tensor)) << name;
    EXPECT_EQ(read.tensors.at(name).scalar_type(), tensor.scalar_type());
  }
}

// Written by hand from the format's description.
TEST(Safetensors, ReadsAFileMadeByHand) {
  testing::TempFolder folder;
  const float values[] = {1.5f, -2.0f, 0.25f};
  const std::string data(reinterpret_cast<const char*>(values), sizeof(values));
  ASSERT_THAT(
      WriteFileAtomically(
          folder / "a",
          FileOf(R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},)"
                 R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}} )",
                 data)),
      IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Safetensors read,
                              ReadSafetensors(folder / "a"));
  EXPECT_EQ(read.tensors.at("a").item<float>(), 1.5f);
  EXPECT_TRUE(read.tensors.at("b").equal(at::tensor({-2.0f, 0.25f})));
}

TEST(Safetensors, HeaderIsPaddedAndEqualInputGivesEqualBytes) {
  const TensorMap tensors = OneOfEachType();
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::string bytes,
                              SerializeSafetensors(tensors));
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  EXPECT_EQ(header % 8, 0u);
  testing::TempFolder folder;
  ASSERT_THAT(WriteSafetensors(folder / "a", tensors), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::string file, ReadFile(folder / "a"));
  EXPECT_EQ(file, bytes);
}

TEST(Safetensors, TransposedTensorIsWrittenInItsOwnOrder) {
  testing::TempFolder folder;
  const at::Tensor transposed = at::arange(6, at::kFloat).view({2, 3}).t();
  ASSERT_THAT(WriteSafetensors(folder / "a", {{"t", transposed}}), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Safetensors read,
                              ReadSafetensors(folder / "a"));
  EXPECT_TRUE(read.tensors.at("t").equal(transposed));
}

TEST(Safetensors, ViewsOutliveTheFileAndItsOtherTensors) {
  at::Tensor kept;
  {
    testing::TempFolder folder;
    ASSERT_THAT(WriteSafetensors(folder / "a", {{"x", at::ones({1000})},
                                                {"y", at::zeros({1000})}}),
                IsOk());
    TANDEM_ASSERT_OK_AND_ASSIGN(const Safetensors read,
                                ReadSafetensors(folder / "a"));
    kept = read.tensors.at("x");
  }
  EXPECT_EQ(kept.sum().item<float>(), 1000.0f);
}

TEST(Safetensors, MisalignedAndEmptyTensorsAreRead) {
  testing::TempFolder folder;
  const TensorMap tensors = {{"a", at::ones({3}, at::kByte)},
                             {"b", at::arange(5, at::kFloat)},
                             {"c", at::empty({0, 7}, at::kFloat)}};
  ASSERT_THAT(WriteSafetensors(folder / "a", tensors), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Safetensors read,
                              ReadSafetensors(folder / "a"));
  EXPECT_TRUE(read.tensors.at("b").equal(tensors.at("b")));
  EXPECT_EQ(read.tensors.at("c").sizes(), at::IntArrayRef({0, 7}));
}

TEST(Safetensors, RefusesToWriteOtherDtypesAndReservedNames) {
  EXPECT_THAT(SerializeSafetensors({{"z", at::ones({2}, at::kComplexFloat)}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("'z'")));
  EXPECT_THAT(SerializeSafetensors({{"__metadata__", at::ones({2})}}),
              StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(SerializeSafetensors({{"\xff", at::ones({2})}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("UTF-8")));
}

TEST(Safetensors, MissingFileIsNotFound) {
  EXPECT_THAT(ReadSafetensors("/nonexistent/m.safetensors"),
              StatusIs(StatusCode::kNotFound, HasSubstr("m.safetensors")));
}

struct LyingHeader {
  const char* name;
  const char* header;
  const char* message;  // a part of it
};

class SafetensorsLies : public ::testing::TestWithParam<LyingHeader> {};

// Each over 8 bytes of data.
TEST_P(SafetensorsLies, AreRefusedWithTheReason) {
  EXPECT_THAT(StatusOfReading(FileOf(GetParam().header, std::string(8, '\1'))),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("t.safetensors: "),
                             HasSubstr(GetParam().message))));
}

INSTANTIATE_TEST_SUITE_P(
    Headers, SafetensorsLies,
    ::testing::Values(
        LyingHeader{"NotJson", "{\"a\":", "not valid JSON"},
        LyingHeader{"NotAnObject", "[1, 2]", "not a JSON object"},
        LyingHeader{"EntryIsNoObject", R"({"a":1})", "'a'"},
        LyingHeader{"UnknownDtype",
                    R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,8]}})",
                    "dtype 'F4' is not one of F64, F32"},
        LyingHeader{"NoDtype", R"({"a":{"shape":[2],"data_offsets":[0,8]}})",
                    "'dtype' is missing"},
        LyingHeader{"NoShape", R"({"a":{"dtype":"F32","data_offsets":[0,8]}})",
                    "'shape' is missing"},
        LyingHeader{
            "NegativeShape",
            R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
            "is -2"},
        LyingHeader{
            "FractionalShape",
            R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})",
            "is 2.0"},
        LyingHeader{"OverflowingShape",
                    R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],)"
                    R"("data_offsets":[0,8]}})",
                    "overflows"},
        LyingHeader{"OverflowBehindAZero",
                    R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,8],)"
                    R"("data_offsets":[0,0]}})",
                    "overflows"},
        LyingHeader{"ShapeBeyond64Bits",
                    R"({"a":{"dtype":"F32","shape":[18446744073709551615],)"
                    R"("data_offsets":[0,8]}})",
                    "18446744073709551615"},
        LyingHeader{"TooManyDimensions",
                    R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],)"
                    R"("data_offsets":[0,8]}})",
                    "9 dimensions"},
        LyingHeader{"SizeOtherThanShape",
                    R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
                    "needs 12"},
        LyingHeader{"NoOffsets", R"({"a":{"dtype":"F32","shape":[2]}})",
                    "data_offsets"},
        LyingHeader{"BackwardOffsets",
                    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
                    "[8, 0]"},
        LyingHeader{
            "OffsetsPastTheEnd",
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
            "[4, 12]"},
        LyingHeader{"Overlap",
                    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                    R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                    "inside the tensor before it"},
        LyingHeader{"Gap",
                    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                    "after a gap"},
        LyingHeader{"UnclaimedTail",
                    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                    "end at byte 4 of 8"},
        LyingHeader{"Twice",
                    R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                    "'a' is there twice"},
        LyingHeader{"MetadataIsNoObject", R"({"__metadata__":3})",
                    "__metadata__"},
        LyingHeader{"MetadataHoldsANumber", R"({"__metadata__":{"k":3}})",
                    "'k' is not a string"}),
    [](const auto& info) { return info.param.name; });

TEST(SafetensorsLies, BooleansOtherThanZeroAndOneAreRefused) {
  EXPECT_THAT(StatusOfReading(FileOf(
                  R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})",
                  "\1\7")),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("value 7")));
}

TEST(SafetensorsLies, HeaderLengthBeyondTheFileIsRefused) {
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{1} << 62, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    EXPECT_THAT(
        StatusOfReading(LittleEndian64(length) + "{}"),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr("header length")));
  }
}

// Nesting must cost no stack: neither where an entry nor where a number is.
TEST(SafetensorsLies, DeepNestingIsRefusedWithoutACrash) {
  const std::string deep = testing::DeepJson();
  for (const std::string& header :
       {R"({"a":)" + deep + "}", R"({"a":{"dtype":"F32","shape":[)" + deep +
                                     R"(],"data_offsets":[0,8]}})"}) {
    EXPECT_THAT(StatusOfReading(FileOf(header, "")),
                StatusIs(StatusCode::kInvalidArgument));
  }
}

TEST(SafetensorsLies, EveryTruncationIsRefused) {
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const std::string bytes,
      SerializeSafetensors({{"a", at::ones({4})}, {"b", at::ones({2, 3})}}));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(StatusOfReading(bytes.substr(0, size)),
                StatusIs(StatusCode::kInvalidArgument))
        << size;
  }
}

// Any flip of the header gives a Status or a file that still holds together.
TEST(SafetensorsLies, FlippedHeaderBitsNeverCrash) {
  TANDEM_ASSERT_OK_AND_ASSIGN(
      std::string bytes,
      SerializeSafetensors({{"a", at::ones({4})}, {"b", at::ones({2, 3})}},
                           {{"format", "pt"}}));
  const size_t header_end = bytes.size() - 40;
  testing::TempFolder folder;
  for (size_t i = 0; i < header_end * 8; ++i) {
    bytes[i / 8] ^= static_cast<char>(1 << i % 8);
    ASSERT_THAT(WriteFileAtomically(folder / "a", bytes), IsOk());
    const auto read = ReadSafetensors(folder / "a");
    if (read.ok()) {
      for (const auto& [name, tensor] : read->tensors) {
        EXPECT_LE(tensor.nbytes(), 40u);
        tensor.to(at::kFloat).sum();
      }
    }
    bytes[i / 8] ^= static_cast<char>(1 << i % 8);
  }
}

}  // namespace
}  // namespace tandem
