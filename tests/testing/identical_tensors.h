// Two maps with the same tensors, bit for bit.
#ifndef TANDEM_TESTS_TESTING_IDENTICAL_TENSORS_H_
#define TANDEM_TESTS_TESTING_IDENTICAL_TENSORS_H_

#include <gtest/gtest.h>

#include "model/aten.h"
#include "model/tensor_map.h"

namespace tandem::testing {

inline void ExpectIdenticalTensors(const TensorMap& actual,
                                   const TensorMap& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_TRUE(at::equal(actual.at(name), tensor)) << name;
  }
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_IDENTICAL_TENSORS_H_
