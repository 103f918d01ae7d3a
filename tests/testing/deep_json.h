// JSON that costs a recursive reader its stack.
#ifndef TANDEM_TESTS_TESTING_DEEP_JSON_H_
#define TANDEM_TESTS_TESTING_DEEP_JSON_H_

#include <string>

namespace tandem::testing {

// A million arrays, one in the other.
inline std::string DeepJson() {
  return std::string(1'000'000, '[') + std::string(1'000'000, ']');
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_DEEP_JSON_H_
