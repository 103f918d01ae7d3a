#include "model/decode_kernels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/aten.h"
#include "model/rms_norm.h"
#include "model/rotary_embedding.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/make_tensor.h"

namespace tandem {
namespace {

using testing::MaxDifference;
using testing::RandomTensor;

constexpr int64_t kSizes[] = {1, 7, 8, 64, 577};

at::Tensor Wrap(std::vector<float>& values) {
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())});
}

TEST(DecodeKernels, DotFourRows) {
  for (const int64_t size : kSizes) {
    const at::Tensor rows = RandomTensor({4, size}, 1);
    const at::Tensor x = RandomTensor({size}, 2);
    const at::Tensor rounded = rows.to(at::kBFloat16);
    const float* floats[4];
    const uint16_t* halves[4];
    for (int r = 0; r < 4; ++r) {
      floats[r] = rows[r].const_data_ptr<float>();
      halves[r] = static_cast<const uint16_t*>(rounded[r].const_data_ptr());
    }
    std::vector<float> exact(4), bf16(4);
    DotFourRows(floats, size, x.const_data_ptr<float>(), exact.data());
    DotFourRows(halves, size, x.const_data_ptr<float>(), bf16.data());
    EXPECT_LT(MaxDifference(Wrap(exact), rows.mv(x)), 1e-4) << size;
    EXPECT_LT(MaxDifference(Wrap(bf16), rounded.to(at::kFloat).mv(x)), 1e-4);
  }
}

TEST(DecodeKernels, NormaliseVector) {
  for (const int64_t size : kSizes) {
    const at::Tensor x = RandomTensor({1, size}, 1);
    const at::Tensor weight = RandomTensor({size}, 2);
    std::vector<float> y(size);
    NormaliseVector(x.const_data_ptr<float>(), weight.const_data_ptr<float>(),
                    1e-5, size, y.data());
    EXPECT_LT(MaxDifference(Wrap(y), RmsNorm(x, weight, 1e-5)[0]), 1e-5);
  }
}

TEST(DecodeKernels, RotateHead) {
  for (const int64_t head_size : {2, 10, 64}) {
    const RotaryAngles angles = RotaryAnglesAt({37}, head_size, 10000);
    const at::Tensor x = RandomTensor({1, head_size}, 1);
    const at::Tensor y = x.clone();
    RotateHead(angles.cosine.const_data_ptr<float>(),
               angles.sine.const_data_ptr<float>(), head_size / 2,
               y.mutable_data_ptr<float>());
    EXPECT_LT(MaxDifference(y, Rotate(x, angles)), 1e-6);
  }
}

TEST(DecodeKernels, AttendHead) {
  for (const int64_t length : {1, 5, 130}) {
    for (const int64_t size : {6, 64}) {
      const at::Tensor query = RandomTensor({size}, 1, 3);
      const at::Tensor keys = RandomTensor({length, size}, 2);
      const at::Tensor values = RandomTensor({length, size}, 3);
      std::vector<float> scores(length), out(size);
      AttendHead(query.const_data_ptr<float>(), keys.const_data_ptr<float>(),
                 values.const_data_ptr<float>(), length, size, 0.3f,
                 scores.data(), out.data());
      const at::Tensor expected =
          at::softmax(keys.mv(query) * 0.3, 0).unsqueeze(0).mm(values)[0];
      EXPECT_LT(MaxDifference(Wrap(out), expected), 1e-5);
    }
  }
}

// Relative to the largest: what e^x is off by, over all of its range.
TEST(DecodeKernels, Gates) {
  for (const int64_t size : kSizes) {
    at::Tensor gate = RandomTensor({size}, 1, 4);
    if (size > 60) gate.narrow(0, 0, 50).copy_(at::linspace(-300, 300, 50));
    const at::Tensor up = RandomTensor({size}, 2);
    const at::Tensor silu = gate.clone(), gelu = gate.clone();
    GateSilu(silu.mutable_data_ptr<float>(), up.const_data_ptr<float>(), size);
    GateGelu(gelu.mutable_data_ptr<float>(), up.const_data_ptr<float>(), size);
    const at::Tensor expected = at::silu(gate) * up;
    EXPECT_TRUE(at::allclose(silu, expected, 1e-6, 1e-6));
    EXPECT_TRUE(at::allclose(gelu, at::gelu(gate, "tanh") * up, 1e-5, 1e-6));
  }
}

}  // namespace
}  // namespace tandem
