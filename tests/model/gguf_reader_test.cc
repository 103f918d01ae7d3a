#include "model/gguf_reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/files.h"
#include "model/checkpoint.h"
#include "model/gguf_writer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TempFolder;

template <typename T>
std::string Bytes(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string Text(const std::string& text) {
  return Bytes<uint64_t>(text.size()) + text;
}

// A GGUF put together by hand from the format's description.
struct HandMade {
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t tensors = 1, keys = 1;
  std::string metadata =
      Text("k") + Bytes<uint32_t>(4) + Bytes<uint32_t>(7);  // k: u32 = 7
  std::string tensor_infos = TensorInfo("t", {2, 3}, 0, 0);
  std::string data = std::string(24, '\x2a');

  static std::string TensorInfo(const std::string& name,
                                const std::vector<int64_t>& dimensions,
                                uint32_t type, uint64_t offset) {
    std::string bytes =
        Text(name) + Bytes(static_cast<uint32_t>(dimensions.size()));
    for (const int64_t size : dimensions) bytes += Bytes(size);
    return bytes + Bytes(type) + Bytes(offset);
  }

  std::string Whole() const {
    std::string bytes = magic + Bytes(version) + Bytes(tensors) + Bytes(keys) +
                        metadata + tensor_infos;
    bytes.resize((bytes.size() + 31) / 32 * 32);
    return bytes + data;
  }
};

StatusOr<GgufFile> ReadBytes(const TempFolder& folder,
                             const std::string& bytes) {
  EXPECT_THAT(WriteFileAtomically(folder / "m.gguf", bytes), IsOk());
  return ReadGguf(folder / "m.gguf");
}

Status StatusOfReading(const std::string& bytes) {
  TempFolder folder;
  return ReadBytes(folder, bytes).status();
}

TEST(GgufReader, ReadsAFileMadeByHand) {
  for (const uint32_t version : {2u, 3u}) {
    TempFolder folder;
    HandMade made;
    made.version = version;
    TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file,
                                ReadBytes(folder, made.Whole()));
    EXPECT_EQ(file.Integer("k", 0, 7).value(), 7);
    const GgufTensor& tensor = file.tensors.at("t");
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{3, 2}));  // outermost first
    EXPECT_EQ(tensor.format->name, "F32");
    EXPECT_EQ(tensor.data.size(), 24u);
    EXPECT_EQ(tensor.data[0], std::byte{0x2a});
  }
}

TEST(GgufReader, ReadsEveryKindOfValue) {
  HandMade made;
  made.keys = 0;
  made.metadata.clear();
  const auto add = [&](const std::string& key, uint32_t type,
                       const std::string& value) {
    ++made.keys;
    made.metadata += Text(key) + Bytes(type) + value;
  };
  add("u8", 0, Bytes<uint8_t>(200));
  add("i8", 1, Bytes<int8_t>(-3));
  add("u16", 2, Bytes<uint16_t>(65000));
  add("i16", 3, Bytes<int16_t>(-300));
  add("i32", 5, Bytes<int32_t>(-70000));
  add("f32", 6, Bytes<float>(1e-5f));
  add("bool", 7, Bytes<uint8_t>(1));
  add("text", 8, Text("ä"));
  add("texts", 9,
      Bytes<uint32_t>(8) + Bytes<uint64_t>(2) + Text("a") + Text(""));
  add("i32s", 9,
      Bytes<uint32_t>(5) + Bytes<uint64_t>(2) + Bytes(-1) + Bytes(2));
  add("u64", 10, Bytes<uint64_t>(1ull << 40));
  add("i64", 11, Bytes<int64_t>(-(1ll << 40)));
  add("f64", 12, Bytes<double>(0.1));
  TempFolder folder;
  TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file,
                              ReadBytes(folder, made.Whole()));
  EXPECT_EQ(file.Integer("u8", 0, 255).value(), 200);
  EXPECT_EQ(file.Integer("i8", -9, 9).value(), -3);
  EXPECT_EQ(file.Integer("u16", 0, 65535).value(), 65000);
  EXPECT_EQ(file.Integer("i16", -400, 0).value(), -300);
  EXPECT_EQ(file.Integer("i32", -80000, 0).value(), -70000);
  EXPECT_EQ(file.Number("f32").value(), 1e-5);  // as written, not its fp32 tail
  EXPECT_TRUE(file.Flag("bool", false).value());
  EXPECT_TRUE(file.Flag("absent", true).value());
  EXPECT_EQ(file.Text("text").value(), "ä");
  EXPECT_EQ(file.Texts("texts").value(), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(file.Integers("i32s").value(), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(file.Integer("u64", 0, INT64_MAX).value(), 1ll << 40);
  EXPECT_EQ(file.Integer("i64", INT64_MIN, 0).value(), -(1ll << 40));
  EXPECT_EQ(file.Number("f64").value(), 0.1);
}

TEST(GgufReader, TypedAccessNamesKeyValueAndLimit) {
  TempFolder folder;
  TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file,
                              ReadBytes(folder, HandMade().Whole()));
  EXPECT_THAT(file.Integer("k", 1, 6),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("key 'k' is 7, expected 1 to 6")));
  EXPECT_THAT(file.Text("k"), StatusIs(StatusCode::kInvalidArgument,
                                       HasSubstr("'k' is not a string")));
  EXPECT_THAT(file.Number("none"), StatusIs(StatusCode::kInvalidArgument,
                                            HasSubstr("'none' is missing")));
}

TEST(GgufWriter, AlignsEveryTensorTo32Bytes) {
  GgufWriter writer;
  for (const char* name : {"a", "b", "c"}) {
    writer.AddTensor(name, {5}, FormatOf(GgmlType::kF32),
                     [name] { return std::string(20, name[0]); });
  }
  TempFolder folder;
  ASSERT_THAT(writer.Write(folder / "m.gguf"), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const MappedFile bytes,
                              MappedFile::Open(folder / "m.gguf"));
  TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file, ReadGguf(folder / "m.gguf"));
  EXPECT_EQ(bytes.bytes().size() % 32, 0u);
  for (const auto& [name, tensor] : file.tensors) {
    const auto address = reinterpret_cast<uintptr_t>(tensor.data.data());
    EXPECT_EQ(address % 32, 0u);  // mappings begin on pages
    EXPECT_EQ(tensor.data[19], static_cast<std::byte>(name[0]));
  }
}

TEST(GgufWriter, ErrorsOfATensorLeaveNoFile) {
  GgufWriter writer;
  writer.AddTensor("a", {5}, FormatOf(GgmlType::kF32),
                   []() -> StatusOr<std::string> { return Aborted("no"); });
  TempFolder folder;
  EXPECT_THAT(writer.Write(folder / "m.gguf"), StatusIs(StatusCode::kAborted));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

struct Lie {
  const char* name;
  void (*tell)(HandMade& made);
  const char* message;
};

class GgufLies : public ::testing::TestWithParam<Lie> {};

TEST_P(GgufLies, AreRefusedWithTheReason) {
  HandMade made;
  GetParam().tell(made);
  EXPECT_THAT(
      StatusOfReading(made.Whole()),
      StatusIs(StatusCode::kInvalidArgument,
               AllOf(HasSubstr("m.gguf: "), HasSubstr(GetParam().message))));
}

constexpr int64_t kHuge = int64_t{1} << 62;

INSTANTIATE_TEST_SUITE_P(
    Files, GgufLies,
    ::testing::Values(
        Lie{"Magic", [](HandMade& m) { m.magic = "GGML"; }, "not a GGUF file"},
        Lie{"Version1", [](HandMade& m) { m.version = 1; }, "version 1"},
        Lie{"BigEndian", [](HandMade& m) { m.version = 3u << 24; },
            "little-endian"},
        Lie{"TensorCount", [](HandMade& m) { m.tensors = kHuge; },
            "number of tensors is 4611686018427387904"},
        Lie{"KeyCount", [](HandMade& m) { m.keys = ~0ull; }, "number of keys"},
        Lie{"OneTensorTooMany", [](HandMade& m) { m.tensors = 2; }, ""},
        Lie{"KeyLength",
            [](HandMade& m) { m.metadata = Bytes<uint64_t>(kHuge) + "k"; },
            "cut short in the key"},
        Lie{"TextLength",
            [](HandMade& m) {
              m.metadata = Text("k") + Bytes<uint32_t>(8) + Bytes(~0ull);
            },
            "key 'k': cut short"},
        Lie{"ArrayLength",
            [](HandMade& m) {
              m.metadata = Text("k") + Bytes<uint32_t>(9) + Bytes<uint32_t>(4) +
                           Bytes<uint64_t>(kHuge);
            },
            "array of 4611686018427387904"},
        Lie{"TextArrayLength",
            [](HandMade& m) {
              m.metadata = Text("k") + Bytes<uint32_t>(9) + Bytes<uint32_t>(8) +
                           Bytes<uint64_t>(kHuge);
            },
            "array of 4611686018427387904"},
        Lie{"NestedArray",
            [](HandMade& m) {
              m.metadata = Text("k") + Bytes<uint32_t>(9) + Bytes<uint32_t>(9) +
                           Bytes<uint64_t>(1);
            },
            "arrays of type 9"},
        Lie{"ValueType",
            [](HandMade& m) { m.metadata = Text("k") + Bytes<uint32_t>(13); },
            "value type 13"},
        Lie{"BoolOfTwo",
            [](HandMade& m) {
              m.metadata = Text("k") + Bytes<uint32_t>(7) + "\2";
            },
            "a bool has the value 2"},
        Lie{"KeyTwice",
            [](HandMade& m) {
              m.keys = 2;
              m.metadata += m.metadata;
            },
            "key 'k' is there twice"},
        Lie{"AlignmentOfZero",
            [](HandMade& m) {
              m.metadata = Text("general.alignment") + Bytes<uint32_t>(4) +
                           Bytes<uint32_t>(0);
            },
            "general.alignment"},
        Lie{"AlignmentOf24",
            [](HandMade& m) {
              m.metadata = Text("general.alignment") + Bytes<uint32_t>(4) +
                           Bytes<uint32_t>(24);
            },
            "power of two"},
        Lie{"TensorTwice",
            [](HandMade& m) {
              m.tensors = 2;
              m.tensor_infos += m.tensor_infos;
            },
            "tensor 't' is there twice"},
        Lie{"NoDimensions",
            [](HandMade& m) {
              m.tensor_infos =
                  HandMade::TensorInfo("t", {}, 0, 0) + std::string(8, '\0');
            },
            "0 dimensions"},
        Lie{"FiveDimensions",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {1, 1, 1, 1, 1}, 0, 0);
            },
            "5 dimensions"},
        Lie{"NegativeDimension",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {2, -3}, 0, 0);
            },
            "dimension 1 is -3"},
        Lie{"OverflowingShape",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {kHuge, 4}, 0, 0);
            },
            "overflows"},
        Lie{"OverflowingOnceDecoded",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {kHuge}, 2, 0);
            },
            "overflows"},
        Lie{"UnknownTensorType",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {256}, 16, 0);
            },
            "tensor type 16 is not one of F32, F16"},
        Lie{"BrokenBlocks",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {48}, 8, 0);
            },
            "blocks of 32"},
        Lie{"UnalignedOffset",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {2}, 0, 4);
            },
            "offset 4, expected 0"},
        Lie{"HugeOffset",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {2}, 0, ~31ull);
            },
            "expected 0"},
        Lie{"Overlap",
            [](HandMade& m) {
              m.tensors = 2;
              m.tensor_infos += HandMade::TensorInfo("u", {6}, 0, 0);
            },
            "expected 32"},
        Lie{"Gap",
            [](HandMade& m) {
              m.tensors = 2;
              m.tensor_infos += HandMade::TensorInfo("u", {2}, 0, 64);
              m.data.resize(128);
            },
            "expected 32"},
        Lie{"PastTheEnd",
            [](HandMade& m) {
              m.tensor_infos = HandMade::TensorInfo("t", {7}, 0, 0);
            },
            "passes the end of 24 bytes"}),
    [](const auto& info) { return info.param.name; });

// A whole model, small enough to cut at every byte of its header.
std::filesystem::path TinyModel(const TempFolder& folder) {
  EXPECT_THAT(SaveGguf(testing::TinyCheckpoint(), "q8_0", folder / "tiny.gguf"),
              IsOk());
  return folder / "tiny.gguf";
}

void FlipBits(const std::filesystem::path& path, int64_t place, int mask) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const int byte = file.seekg(place).get();
  file.seekp(place).put(static_cast<char>(byte ^ mask));
}

TEST(GgufTruncation, EveryCutIsRefused) {
  TempFolder folder;
  const std::filesystem::path path = TinyModel(folder);
  // From the end: the data in steps, then the header byte by byte. The last
  // tensor, a norm of 32 floats, ends the file: there is no padding to lose.
  auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  ASSERT_GT(size, 12'000);
  while (size > 0) {
    size -= size > 12'037 ? 37 : 1;
    std::filesystem::resize_file(path, static_cast<uintmax_t>(size));
    EXPECT_THAT(ReadGguf(path), StatusIs(StatusCode::kInvalidArgument)) << size;
  }
}

// A flipped bit may change a value unnoticed, but nothing may read outside the
// file or throw.
TEST(GgufTruncation, FlippedHeaderBytesNeverCrash) {
  TempFolder folder;
  const std::filesystem::path path = TinyModel(folder);
  int refused = 0;
  for (int64_t i = 0; i < 12'000; i += i < 1500 ? 1 : 7) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      FlipBits(path, i, mask);
      refused += !LoadCheckpoint(path).ok();
      FlipBits(path, i, mask);
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace tandem
