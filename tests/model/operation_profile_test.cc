#include "model/operation_profile.h"

#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/aten.h"
#include "model/gemm_peak.h"
#include "model/int16_product.h"
#include "model/packed_product.h"

namespace tandem {
namespace {

const OperationTime* FindOperation(const ProfileReport& report,
                                   const std::string& name) {
  for (const OperationTime& operation : report.operations) {
    if (operation.name == name) return &operation;
  }
  return nullptr;
}

TEST(OperationProfile, CountsOperationsAndTheShapesOfProducts) {
  const at::Tensor a = at::ones({3, 5}), b = at::ones({5, 7});
  at::Tensor sum = at::zeros({3, 7});
  ProfileReport report;
  {
    OperationProfile profile;
    for (int i = 0; i < 4; ++i) at::mm(a, b);
    sum.addmm_(a, b);
    at::mm(a.to(at::kBFloat16), b.to(at::kBFloat16));
    report = profile.Report();
  }
  at::mm(a, b);  // no longer watched
  ASSERT_NE(FindOperation(report, "aten::mm"), nullptr);
  EXPECT_EQ(FindOperation(report, "aten::mm")->calls, 5);
  EXPECT_EQ(FindOperation(report, "aten::addmm_")->calls, 1);
  ASSERT_EQ(report.gemms.size(), 2u);
  double inside = 0;
  for (const GemmTime& gemm : report.gemms) {
    EXPECT_EQ(gemm.rows, 3);
    EXPECT_EQ(gemm.columns, 7);
    EXPECT_EQ(gemm.inner, 5);
    EXPECT_EQ(gemm.calls, gemm.dtype == "Float" ? 5 : 1);
    EXPECT_DOUBLE_EQ(gemm.Gflops(),
                     2e-9 * 3 * 5 * 7 * gemm.calls / gemm.seconds);
    inside += gemm.seconds;
  }
  EXPECT_LT(inside, report.seconds);
}

TEST(OperationProfile, NamesProductsInIntegers) {
  if (!PrefersPacking()) GTEST_SKIP() << "needs AVX2 without AVX-512";
  const at::Tensor a = at::ones({40, 50}), b = at::ones({50, 70});
  at::Tensor product = at::zeros({40, 70});
  OperationProfile profile;
  Int16Product(a, b, /*accumulate=*/false, product);
  SumOfProducts({{a, b}}, /*accumulate=*/false, product);
  const ProfileReport report = profile.Report();
  std::vector<std::string> types;
  for (const GemmTime& gemm : report.gemms) types.push_back(gemm.dtype);
  EXPECT_THAT(types, ::testing::UnorderedElementsAre("Int16", "Float"));
}

TEST(GemmPeak, IsKnownForEveryType) {
  for (const std::string& type : GemmTypes())
    EXPECT_GT(PeakGemmGflops(type), 0.1) << type;
}

TEST(OperationProfile, TimeOfInnerOperationsIsNotCountedTwice) {
  const at::Tensor a = at::ones({300, 300});
  OperationProfile profile;
  {
    RECORD_USER_SCOPE("outer");
    for (int i = 0; i < 20; ++i) at::mm(a, a);
  }
  const ProfileReport report = profile.Report();
  ASSERT_NE(FindOperation(report, "outer"), nullptr);
  EXPECT_LT(FindOperation(report, "outer")->seconds,
            FindOperation(report, "aten::mm")->seconds);
  double sum = 0;
  for (const OperationTime& operation : report.operations) {
    sum += operation.seconds;
  }
  EXPECT_LE(sum, report.seconds);
}

TEST(OperationProfile, BackwardPassesHaveTheirForwardsName) {
  const at::Tensor x = at::ones({4}).requires_grad_();
  OperationProfile profile;
  (x * x).sum().backward();
  EXPECT_NE(FindOperation(profile.Report(), "MulBackward0 backward"), nullptr);
}

}  // namespace
}  // namespace tandem
