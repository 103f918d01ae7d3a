#include "distill/teacher_targets.h"

#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <limits>

#include "common/files.h"
#include "model/aten.h"
#include "model/safetensors.h"
#include "tests/distill/random_targets.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::RandomTargets;
using testing::StatusIs;

constexpr int64_t kSmallVocabulary = 30;
constexpr int64_t kK = 4;

void ExpectSame(const TeacherTargets& a, const TeacherTargets& b) {
  ASSERT_EQ(a.examples.size(), b.examples.size());
  ASSERT_EQ(a.targets.size(), b.targets.size());
  EXPECT_EQ(a.temperature, b.temperature);
  for (size_t i = 0; i < a.examples.size(); ++i) {
    EXPECT_EQ(a.examples[i].tokens, b.examples[i].tokens);
    EXPECT_EQ(a.examples[i].is_target, b.examples[i].is_target);
    EXPECT_EQ(a.examples[i].target_bytes, b.examples[i].target_bytes);
    EXPECT_TRUE(at::equal(a.targets[i].indices, b.targets[i].indices));
    EXPECT_TRUE(at::equal(a.targets[i].log_probabilities,
                          b.targets[i].log_probabilities));
    EXPECT_TRUE(at::equal(a.targets[i].left_over, b.targets[i].left_over));
  }
}

TEST(PackTargets, RowsBelongToTheirTargetTokens) {
  const TeacherTargets all = RandomTargets(5, kSmallVocabulary, kK, 1);
  const DistillationBatch packed = PackTargets(all, {3, 0, 3});
  EXPECT_EQ(packed.batch.document_offsets.size(), 4u);
  const int64_t rows = packed.batch.target_rows.size(0);
  ASSERT_EQ(packed.targets.indices.sizes(), at::IntArrayRef({rows, kK}));
  int64_t row = 0;
  for (int64_t index : {3, 0, 3}) {
    const TokenizedExample& example = all.examples[index];
    const TopKTargets& own = all.targets[index];
    int64_t own_row = 0;
    for (size_t i = 1; i < example.tokens.size(); ++i) {
      if (!example.is_target[i]) continue;
      EXPECT_EQ(packed.batch.targets[row].item<int64_t>(), example.tokens[i]);
      EXPECT_TRUE(at::equal(packed.targets.indices[row], own.indices[own_row]));
      EXPECT_TRUE(at::equal(packed.targets.log_probabilities[row],
                            own.log_probabilities[own_row]));
      EXPECT_TRUE(
          at::equal(packed.targets.left_over[row], own.left_over[own_row]));
      ++row, ++own_row;
    }
  }
  EXPECT_EQ(row, rows);
}

class TargetsFile : public ::testing::Test {
 protected:
  // Writes good targets, changes the file's tensors and metadata, and reads it.
  Status ReadChanged(const std::function<void(Safetensors&)>& change) {
    EXPECT_THAT(WriteTeacherTargets(targets_, path_), IsOk());
    Safetensors file = *ReadSafetensors(path_);
    for (auto& [name, tensor] : file.tensors) tensor = tensor.clone();
    change(file);
    EXPECT_THAT(WriteSafetensors(path_, file.tensors, file.metadata), IsOk());
    return ReadTeacherTargets(path_, kSmallVocabulary).status();
  }
  void ExpectRefused(const std::string& why,
                     const std::function<void(Safetensors&)>& change) {
    EXPECT_THAT(ReadChanged(change),
                StatusIs(StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(path_.string()), HasSubstr(why))));
  }

  testing::TempFolder folder_;
  std::filesystem::path path_ = folder_ / "targets.safetensors";
  TeacherTargets targets_ = RandomTargets(5, kSmallVocabulary, kK, 2);
};

TEST_F(TargetsFile, ReadsWhatWasWritten) {
  ASSERT_THAT(WriteTeacherTargets(targets_, path_), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const TeacherTargets read,
                              ReadTeacherTargets(path_, kSmallVocabulary));
  ExpectSame(read, targets_);
  EXPECT_EQ(read.targets[0].indices.scalar_type(), at::kLong);
}

TEST_F(TargetsFile, EqualTargetsAreEqualBytes) {
  ASSERT_THAT(WriteTeacherTargets(targets_, path_), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const TeacherTargets read,
                              ReadTeacherTargets(path_, kSmallVocabulary));
  const auto copy = folder_ / "copy";
  ASSERT_THAT(WriteTeacherTargets(read, copy), IsOk());
  EXPECT_EQ(*ReadFile(path_), *ReadFile(copy));
}

TEST_F(TargetsFile, ResultOutlivesTheFile) {
  ASSERT_THAT(WriteTeacherTargets(targets_, path_), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const TeacherTargets read,
                              ReadTeacherTargets(path_, kSmallVocabulary));
  std::ofstream(path_, std::ios::trunc) << "";  // pages of a map would be gone
  ExpectSame(read, targets_);
}

TEST_F(TargetsFile, UnchangedCopyPasses) {
  EXPECT_THAT(ReadChanged([](Safetensors&) {}), IsOk());
}

TEST_F(TargetsFile, RefusesOtherFilesAndMetadata) {
  EXPECT_THAT(ReadTeacherTargets(folder_ / "none", kSmallVocabulary),
              StatusIs(StatusCode::kNotFound));
  ExpectRefused("format", [](auto& f) { f.metadata.erase("format"); });
  ExpectRefused("'other'", [](auto& f) { f.metadata["format"] = "other"; });
  for (const std::string bad : {"", "0", "-1", "nan", "inf", "1x", "1e999"}) {
    ExpectRefused("temperature is '" + bad + "'",
                  [&](auto& f) { f.metadata["temperature"] = bad; });
  }
}

TEST_F(TargetsFile, RefusesMissingAndUnexpectedTensors) {
  for (const std::string name :
       {"tokens", "is_target", "offsets", "target_bytes", "indices",
        "log_probabilities", "left_over"}) {
    ExpectRefused("no tensor '" + name + "'",
                  [&](auto& f) { f.tensors.erase(name); });
    ExpectRefused("'" + name + "' is Short", [&](auto& f) {
      f.tensors[name] = f.tensors[name].to(at::kShort);
    });
    ExpectRefused("'" + name + "' has shape", [&](auto& f) {
      f.tensors[name] = f.tensors[name].unsqueeze(0);
    });
  }
  ExpectRefused("unexpected tensor 'extra'", [](auto& f) {
    f.tensors["extra"] = at::zeros({1}, at::kFloat);
  });
}

TEST_F(TargetsFile, RefusesShapesThatDoNotFitEachOther) {
  auto cut = [](const std::string& name, int64_t dim) {
    return [=](Safetensors& f) {
      at::Tensor& t = f.tensors[name];
      t = t.narrow(dim, 0, t.size(dim) - 1).contiguous();
    };
  };
  ExpectRefused("'is_target' has shape", cut("is_target", 0));
  ExpectRefused("'offsets' has shape", cut("offsets", 0));
  ExpectRefused("'offsets' has shape", cut("target_bytes", 0));
  ExpectRefused("'indices' has shape", cut("indices", 0));
  ExpectRefused("'log_probabilities' has shape", cut("log_probabilities", 1));
  ExpectRefused("'left_over' has shape", cut("left_over", 0));
  ExpectRefused("'tokens' has shape", [](auto& f) {
    f.tensors["tokens"] = at::zeros({0}, at::kInt);
  });
  ExpectRefused("'indices' has shape", [](auto& f) {
    f.tensors["indices"] = f.tensors["indices"].narrow(1, 0, 0).contiguous();
  });
}

TEST_F(TargetsFile, RefusesTokensOutsideTheVocabulary) {
  for (const std::string name : {"tokens", "indices"}) {
    for (int32_t bad : {-1, int32_t{kSmallVocabulary}}) {
      ExpectRefused("'" + name + "' holds " + std::to_string(bad),
                    [&](auto& f) { f.tensors[name].flatten()[2] = bad; });
    }
  }
  ExpectRefused("twice in one row", [](auto& f) {
    at::Tensor row = f.tensors["indices"][1];
    row[2] = row[0];
  });
}

TEST_F(TargetsFile, RefusesLyingOffsetsAndMasks) {
  auto set_offset = [](int64_t i, int64_t value) {
    return [=](Safetensors& f) { f.tensors["offsets"][i] = value; };
  };
  ExpectRefused("offsets run from 1", set_offset(0, 1));
  ExpectRefused("offsets run from 0 to 1000000", set_offset(5, 1000000));
  ExpectRefused("offset 2 is 0", set_offset(2, 0));
  ExpectRefused("offset 2 is -9223372036854775808",
                set_offset(2, std::numeric_limits<int64_t>::min()));
  ExpectRefused("offset 3 is", set_offset(2, int64_t{1} << 62));
  ExpectRefused("'is_target' holds 2",
                [](auto& f) { f.tensors["is_target"][3] = 2; });
  ExpectRefused("not its first",
                [](auto& f) { f.tensors["is_target"][0] = 1; });
  ExpectRefused("must have a target token", [](auto& f) {
    const auto end = f.tensors["offsets"][1].template item<int64_t>();
    f.tensors["is_target"].narrow(0, 0, end).zero_();
  });
  ExpectRefused("'indices' has shape", [](auto& f) {
    at::Tensor mask = f.tensors["is_target"];
    mask[mask.size(0) - 2] = 1 - mask[mask.size(0) - 2];
  });
  ExpectRefused("'target_bytes' holds -1",
                [](auto& f) { f.tensors["target_bytes"][0] = -1; });
  ExpectRefused("'target_bytes' holds 9223372036854775807", [](auto& f) {
    f.tensors["target_bytes"][0] = std::numeric_limits<int64_t>::max();
  });
}

TEST_F(TargetsFile, RefusesWhatIsNoDistribution) {
  const double nan = std::nan(""),
               inf = std::numeric_limits<double>::infinity();
  for (double bad : {0.5, nan, inf, -inf}) {
    ExpectRefused("'log_probabilities' holds",
                  [&](auto& f) { f.tensors["log_probabilities"][1][2] = bad; });
  }
  for (double bad : {-0.01, 1.01, nan, inf}) {
    ExpectRefused("'left_over' holds",
                  [&](auto& f) { f.tensors["left_over"][1] = bad; });
  }
  ExpectRefused("sum to 1 +- ",
                [](auto& f) { f.tensors["log_probabilities"][1].fill_(-0.1); });
}

TEST_F(TargetsFile, CutAnywhereIsRefused) {
  ASSERT_THAT(WriteTeacherTargets(targets_, path_), IsOk());
  const std::string bytes = *ReadFile(path_);
  for (size_t size = 0; size < bytes.size(); size += 7) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc)
        << bytes.substr(0, size);
    EXPECT_THAT(ReadTeacherTargets(path_, kSmallVocabulary),
                StatusIs(StatusCode::kInvalidArgument))
        << size;
  }
}

// Flipped bits either leave a file that passes every check or are refused; the
// sanitizers see the rest.
TEST_F(TargetsFile, FlippedBitsNeverBreakTheReader) {
  ASSERT_THAT(WriteTeacherTargets(targets_, path_), IsOk());
  const std::string bytes = *ReadFile(path_);
  SeededRandom random(3);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string changed = bytes;
    changed[random.Below(bytes.size())] ^=
        static_cast<char>(1 << random.Below(8));
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << changed;
    const auto read = ReadTeacherTargets(path_, kSmallVocabulary);
    if (read.ok()) {
      std::vector<int64_t> all;
      for (size_t k = 0; k < read->examples.size(); ++k) all.push_back(k);
      PackTargets(*read, all);
    }
    refused += !read.ok();
  }
  EXPECT_GT(refused, 100);
}

TEST_F(TargetsFile, WriterRefusesTargetsThatDoNotFit) {
  TeacherTargets bad = targets_;
  bad.targets.pop_back();
  EXPECT_THAT(WriteTeacherTargets(bad, path_),
              StatusIs(StatusCode::kInvalidArgument));
  bad = targets_;
  bad.targets[1] = bad.targets[1].Rows(0, 1);
  bad.examples[1].is_target.assign(bad.examples[1].tokens.size(), 1);
  EXPECT_THAT(WriteTeacherTargets(bad, path_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("example 1")));
  EXPECT_THAT(WriteTeacherTargets({}, path_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no examples")));
}

}  // namespace
}  // namespace tandem
