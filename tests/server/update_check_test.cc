#include "server/update_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "common/files.h"
#include "model/safetensors.h"
#include "server/client_metrics.h"
#include "tests/testing/make_tensor.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::tandem::testing::BytesOf;
using ::tandem::testing::IsOk;
using ::tandem::testing::MakeFactors;
using ::tandem::testing::MakeTensor;
using ::tandem::testing::TempFolder;
using ::testing::HasSubstr;
using ::testing::Not;

class UpdateCheckTest : public ::testing::Test {
 protected:
  // Whatever the verdict, the global adapter is as it was.
  UpdateVerdict Check(double weight = 10) {
    const std::string before = BytesOf(global_);
    const UpdateVerdict verdict = CheckUpdate(global_, file_, weight, limits_);
    EXPECT_EQ(BytesOf(global_), before);
    EXPECT_EQ(verdict.message.empty(), verdict.outcome == proto::ACCEPTED)
        << verdict.message;
    return verdict;
  }
  UpdateVerdict CheckDelta(const TensorMap& delta) {
    EXPECT_THAT(WriteSafetensors(file_, delta), IsOk());
    return Check();
  }
  TensorMap OfNorm(float norm) const {
    TensorMap delta = MakeFactors(2);
    for (auto& [name, tensor] : delta) tensor.zero_();
    delta[a_].mutable_data_ptr<float>()[3] = 0.6f * norm;
    delta[b_].mutable_data_ptr<float>()[5] = -0.8f * norm;
    return delta;
  }
  void ExpectOutcome(const UpdateVerdict& verdict, proto::TaskOutcome outcome,
                     const std::string& message) {
    EXPECT_EQ(verdict.outcome, outcome) << verdict.message;
    EXPECT_THAT(verdict.message, HasSubstr(message));
    EXPECT_THAT(verdict.message, Not(HasSubstr(folder_.path())));
  }

  TempFolder folder_;
  const std::filesystem::path file_ = folder_ / "update.safetensors";
  const TensorMap global_ = MakeFactors(1);
  const std::string a_ = global_.begin()->first;
  const std::string b_ = global_.rbegin()->first;
  UpdateLimits limits_{.max_client_weight = 100};
};

TEST_F(UpdateCheckTest, AcceptsAnUpdateAndMeasuresIt) {
  TensorMap delta = MakeFactors(2);
  double squares = 0;
  for (const auto& [name, tensor] : delta) {
    for (double value : tandem::testing::ValuesOf(tensor)) {
      squares += value * value;
    }
  }
  const UpdateVerdict verdict = CheckDelta(delta);
  ExpectOutcome(verdict, proto::ACCEPTED, "");
  EXPECT_NEAR(verdict.norm_l2, std::sqrt(squares), 1e-12);
}

TEST_F(UpdateCheckTest, WeightsOutOfRange) {
  ASSERT_THAT(WriteSafetensors(file_, MakeFactors(2)), IsOk());
  for (double weight : {0.0, -1.0, 100.5, std::nan(""),
                        std::numeric_limits<double>::infinity()}) {
    ExpectOutcome(Check(weight), proto::BAD_WEIGHT, "at most 100");
  }
  ExpectOutcome(Check(100), proto::ACCEPTED, "");
  ExpectOutcome(Check(1e-300), proto::ACCEPTED, "");
}

TEST_F(UpdateCheckTest, FilesThatAreNotThereOrNotSafetensors) {
  ExpectOutcome(Check(), proto::MISSING_OBJECT, "the update is not there");
  ASSERT_THAT(WriteFileAtomically(file_, ""), IsOk());
  ExpectOutcome(Check(), proto::MALFORMED, "the update: ");
  ASSERT_THAT(WriteFileAtomically(file_, std::string(1000, '\xff')), IsOk());
  ExpectOutcome(Check(), proto::MALFORMED, "the update: ");
  const std::string good = *SerializeSafetensors(MakeFactors(2));
  for (size_t size : {size_t{7}, size_t{8}, good.size() / 2, good.size() - 1}) {
    ASSERT_THAT(WriteFileAtomically(file_, good.substr(0, size)), IsOk());
    ExpectOutcome(Check(), proto::MALFORMED, "the update: ");
  }
}

// A client makes the names and the dtypes of its file.
TEST_F(UpdateCheckTest, MessagesAreShortAndPrintable) {
  for (const std::string name : {"\x1b[2J\n", "\u00e9"}) {
    const UpdateVerdict verdict =
        CheckDelta({{name + std::string(100'000, 'x'), MakeTensor({1}, {1})}});
    ExpectOutcome(verdict, proto::WRONG_SHAPE, "xxx");
    EXPECT_LE(verdict.message.size(), 500u);
    EXPECT_EQ(verdict.message, Printable(verdict.message));
  }
}

// A header of any length is legal, so that floats may start at any address.
TEST_F(UpdateCheckTest, AcceptsDataAtAnyAlignment) {
  const std::string good = *SerializeSafetensors(MakeFactors(2));
  uint64_t header_size = 0;
  std::memcpy(&header_size, good.data(), sizeof(header_size));
  for (int padding = 0; padding < 4; ++padding) {
    std::string file = good;
    const uint64_t size = header_size + padding;
    std::memcpy(file.data(), &size, sizeof(size));
    file.insert(8 + header_size, std::string(padding, ' '));
    ASSERT_THAT(WriteFileAtomically(file_, file), IsOk());
    ExpectOutcome(Check(), proto::ACCEPTED, "");
  }
}

TEST_F(UpdateCheckTest, NamesShapesAndDtypesOfAnotherAdapter) {
  TensorMap delta = MakeFactors(2);
  const at::Tensor good = delta[b_];
  delta[b_] = good.t().contiguous();
  ExpectOutcome(CheckDelta(delta), proto::WRONG_SHAPE, b_);
  delta[b_] = good.to(at::kBFloat16);
  ExpectOutcome(CheckDelta(delta), proto::WRONG_SHAPE, "BFloat16");
  delta[b_] = at::zeros({0});
  ExpectOutcome(CheckDelta(delta), proto::WRONG_SHAPE, "shape [0]");
  delta.erase(b_);
  ExpectOutcome(CheckDelta(delta), proto::WRONG_SHAPE, "missing");
  ExpectOutcome(CheckDelta({}), proto::WRONG_SHAPE, "missing");
  delta[b_] = good;
  delta["base_model.other"] = good;
  ExpectOutcome(CheckDelta(delta), proto::WRONG_SHAPE, "base_model.other");
}

TEST_F(UpdateCheckTest, LongNamesOfPeersAreCutInMessages) {
  TensorMap delta = MakeFactors(2);
  delta[std::string(100'000, 'x')] = at::zeros({1});
  const UpdateVerdict verdict = CheckDelta(delta);
  ExpectOutcome(verdict, proto::WRONG_SHAPE, "xxxx");
  EXPECT_LT(verdict.message.size(), 300u);
}

TEST_F(UpdateCheckTest, NotFiniteAnywhere) {
  for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    for (int64_t element : {0, 17 * 4 - 1}) {
      TensorMap delta = MakeFactors(2);
      delta[b_].mutable_data_ptr<float>()[element] = bad;
      ExpectOutcome(CheckDelta(delta), proto::NOT_FINITE, b_);
    }
  }
  TensorMap delta = MakeFactors(2);
  delta[b_].fill_(std::numeric_limits<float>::max());
  ExpectOutcome(CheckDelta(delta), proto::NORM_TOO_LARGE, "L2 norm");
}

TEST_F(UpdateCheckTest, NormAboveTheClipNormBeyondRounding) {
  limits_.clip_norm_l2 = 5;
  ExpectOutcome(CheckDelta(OfNorm(5)), proto::ACCEPTED, "");
  ExpectOutcome(CheckDelta(OfNorm(5.001f)), proto::ACCEPTED, "");
  const UpdateVerdict verdict = CheckDelta(OfNorm(5.02f));
  ExpectOutcome(verdict, proto::NORM_TOO_LARGE, "5.02");
  EXPECT_NEAR(verdict.norm_l2, 5.02, 1e-5);
  limits_.clip_norm_l2 = 0;
  ExpectOutcome(CheckDelta(OfNorm(5.02f)), proto::ACCEPTED, "");
}

TEST_F(UpdateCheckTest, AnAbsurdNormIsRefusedWithoutAClipNormToo) {
  limits_.max_update_norm_l2 = 100;
  ExpectOutcome(CheckDelta(OfNorm(99)), proto::ACCEPTED, "");
  const UpdateVerdict verdict = CheckDelta(OfNorm(3e38f));
  ExpectOutcome(verdict, proto::NORM_TOO_LARGE,
                "norm is 3e+38, expected at most limits.max_update_norm_l2 "
                "100");
  EXPECT_NEAR(verdict.norm_l2, 3e38, 1e32);
  // The stricter of the two is named.
  limits_.clip_norm_l2 = 5;
  ExpectOutcome(CheckDelta(OfNorm(99)), proto::NORM_TOO_LARGE,
                "at most the clip norm 5");
}

TEST_F(UpdateCheckTest, AFrozenAMayBeAbsentOrZeroOnly) {
  limits_.freeze_lora_a = true;
  TensorMap delta = MakeFactors(2);
  ExpectOutcome(CheckDelta(delta), proto::WRONG_SHAPE, "frozen");
  delta[a_].zero_();
  ExpectOutcome(CheckDelta(delta), proto::ACCEPTED, "");
  delta[a_].mutable_data_ptr<float>()[7] = 1e-45f;
  ExpectOutcome(CheckDelta(delta), proto::WRONG_SHAPE, "frozen");
  delta.erase(a_);
  ExpectOutcome(CheckDelta(delta), proto::ACCEPTED, "");
  limits_.freeze_lora_a = false;
  ExpectOutcome(CheckDelta(delta), proto::WRONG_SHAPE, "missing");
}

}  // namespace
}  // namespace tandem
