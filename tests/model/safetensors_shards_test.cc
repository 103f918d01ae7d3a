// transformers' shards are read, and ours by transformers, in
// tests/interop/test_gguf.py.
#include "model/safetensors_shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "common/files.h"
#include "model/aten.h"
#include "model/safetensors.h"
#include "tests/testing/make_tensor.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using nlohmann::json;
using ::tandem::testing::BytesOf;
using ::tandem::testing::IsOk;
using ::tandem::testing::RandomTensor;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class SafetensorsShardsTest : public ::testing::Test {
 protected:
  // Two shards, a and b in the first.
  void WriteTwoShards() {
    ASSERT_THAT(
        WriteWeights(folder_.path(), tensors_, at::kFloat, /*bytes=*/100),
        IsOk());
  }
  json Index() { return json::parse(*ReadFile(folder_ / kIndex)); }
  void WriteIndex(const json& index) {
    ASSERT_THAT(WriteFileAtomically(folder_ / kIndex, index.dump()), IsOk());
  }
  void ExpectRefused(const std::string& message) {
    EXPECT_THAT(ReadWeights(folder_.path()),
                StatusIs(StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(kIndex), HasSubstr(message))));
  }
  std::set<std::string> Files() const {
    std::set<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(folder_.path())) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  static constexpr char kIndex[] = "model.safetensors.index.json";
  static constexpr char kFirst[] = "model-00001-of-00002.safetensors";
  static constexpr char kSecond[] = "model-00002-of-00002.safetensors";
  TempFolder folder_;
  TensorMap tensors_ = {{"a", RandomTensor({2, 5}, 1)},
                        {"b", RandomTensor({15}, 2)},
                        {"c", RandomTensor({4, 4}, 3)}};
};

TEST_F(SafetensorsShardsTest, FillsShardsInOrderAndIndexesThem) {
  WriteTwoShards();
  EXPECT_THAT(Files(), UnorderedElementsAre(kFirst, kSecond, kIndex));
  EXPECT_EQ(
      Index(),
      (json{{"metadata", {{"total_size", 164}}},
            {"weight_map", {{"a", kFirst}, {"b", kFirst}, {"c", kSecond}}}}));
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap read,
                              ReadWeights(folder_.path()));
  EXPECT_EQ(BytesOf(read), BytesOf(tensors_));
}

TEST_F(SafetensorsShardsTest, ATensorAboveTheLimitHasItsOwnShard) {
  ASSERT_THAT(WriteWeights(folder_.path(), tensors_, at::kFloat, 1), IsOk());
  EXPECT_EQ(Index()["weight_map"]["b"], "model-00002-of-00003.safetensors");
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap read,
                              ReadWeights(folder_.path()));
  EXPECT_EQ(BytesOf(read), BytesOf(tensors_));
}

// Else a reader would take the single file of the earlier save.
TEST_F(SafetensorsShardsTest, AnEarlierSaveIsRemovedAndNothingElse) {
  ASSERT_THAT(WriteFileAtomically(folder_ / "adapter_model.safetensors", "x"),
              IsOk());
  WriteTwoShards();
  ASSERT_THAT(WriteWeights(folder_.path(), tensors_, at::kHalf, 82), IsOk());
  EXPECT_THAT(Files(), UnorderedElementsAre("model.safetensors",
                                            "adapter_model.safetensors"));
  WriteTwoShards();
  EXPECT_THAT(Files(), UnorderedElementsAre(kFirst, kSecond, kIndex,
                                            "adapter_model.safetensors"));
}

TEST_F(SafetensorsShardsTest, ConvertsToTheDtypeAsked) {
  ASSERT_THAT(WriteWeights(folder_.path(), tensors_, at::kBFloat16, 60),
              IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const TensorMap read,
                              ReadWeights(folder_.path()));
  for (const auto& [name, tensor] : tensors_) {
    EXPECT_TRUE(read.at(name).equal(tensor.to(at::kBFloat16))) << name;
  }
  EXPECT_EQ(Index()["metadata"]["total_size"], 82);
}

TEST_F(SafetensorsShardsTest, LimitMustBePositive) {
  EXPECT_THAT(WriteWeights(folder_.path(), tensors_, at::kFloat, 0),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("max_shard_bytes is 0")));
}

TEST_F(SafetensorsShardsTest, AMissingShardIsNamed) {
  WriteTwoShards();
  std::filesystem::remove(folder_ / kSecond);
  EXPECT_THAT(ReadWeights(folder_.path()),
              StatusIs(StatusCode::kNotFound, HasSubstr(kSecond)));
}

TEST_F(SafetensorsShardsTest, AnIndexThatMisplacesATensorIsRefused) {
  WriteTwoShards();
  json index = Index();
  index["weight_map"]["a"] = kSecond;
  WriteIndex(index);
  ExpectRefused(fmt::format("tensor 'a' is in {}, but the index says {}",
                            kFirst, kSecond));
}

TEST_F(SafetensorsShardsTest, AnIndexThatInventsATensorIsRefused) {
  WriteTwoShards();
  json index = Index();
  index["weight_map"]["d"] = kSecond;
  WriteIndex(index);
  ExpectRefused(fmt::format("tensor 'd' is not in {}", kSecond));
}

TEST_F(SafetensorsShardsTest, AnIndexThatLeavesATensorOutIsRefused) {
  WriteTwoShards();
  json index = Index();
  index["weight_map"].erase("a");
  WriteIndex(index);
  ExpectRefused(fmt::format("tensor 'a' of {} is not in the index", kFirst));
}

TEST_F(SafetensorsShardsTest, ATensorInTwoShardsIsRefused) {
  WriteTwoShards();
  ASSERT_THAT(WriteSafetensors(folder_ / kSecond,
                               {{"a", tensors_["a"]}, {"c", tensors_["c"]}}),
              IsOk());
  ExpectRefused(fmt::format("tensor 'a' is in {}", kSecond));
}

TEST_F(SafetensorsShardsTest, ShardsOutsideTheFolderAreRefused) {
  WriteTwoShards();
  for (const json& shard :
       {json("../x.safetensors"), json("/etc/passwd"), json(".."), json(""),
        json("a\\b"), json(std::string("a\0b", 3)), json(7)}) {
    json index = Index();
    index["weight_map"]["a"] = shard;
    WriteIndex(index);
    ExpectRefused("the shard of 'a' is");
  }
}

TEST_F(SafetensorsShardsTest, MalformedIndicesAreRefused) {
  WriteTwoShards();
  WriteIndex(json::array());
  ExpectRefused("object");
  WriteIndex({{"weight_map", 3}});
  ExpectRefused("field 'weight_map' is missing or not an object");
}

}  // namespace
}  // namespace tandem
