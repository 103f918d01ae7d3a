#include "common/network_address.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/peak_memory.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(ParseNetworkAddress, SplitsHostAndPort) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const NetworkAddress name,
                              ParseNetworkAddress("localhost:0"));
  EXPECT_EQ(name.host, "localhost");
  EXPECT_EQ(name.port, 0);
  TANDEM_ASSERT_OK_AND_ASSIGN(const NetworkAddress ipv6,
                              ParseNetworkAddress("[::1]:65535"));
  EXPECT_EQ(ipv6.host, "::1");
  EXPECT_EQ(ipv6.port, 65535);
}

TEST(ParseNetworkAddress, SaysWhatIsWrong) {
  for (const auto& [text, why] :
       std::vector<std::pair<std::string, std::string>>{
           {"localhost", "no port"},
           {":1", "no host"},
           {"h:", "port is not a number"},
           {"h:65536", "port is not a number"},
           {"h:-1", "port is not a number"},
           {"h:80x", "port is not a number"},
           {"h:99999999999999999999", "port is not a number"},
           {"::1:80", "needs brackets"}}) {
    EXPECT_THAT(ParseNetworkAddress(text),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(why)))
        << text;
  }
}

TEST(IsLoopback, NumbersAndNamesThatStayHere) {
  EXPECT_TRUE(IsLoopback("127.0.0.1"));
  EXPECT_TRUE(IsLoopback("127.8.9.10"));
  EXPECT_TRUE(IsLoopback("::1"));
  EXPECT_TRUE(IsLoopback("localhost"));
  EXPECT_FALSE(IsLoopback("128.0.0.1"));
  EXPECT_FALSE(IsLoopback("0.0.0.0"));
  EXPECT_FALSE(IsLoopback("::"));
  EXPECT_FALSE(IsLoopback("127.0.0.1.example.org"));
  EXPECT_FALSE(IsLoopback(""));
}

TEST(CheckPlaintextAllowed, RefusesWhatLeavesTheMachine) {
  EXPECT_THAT(CheckPlaintextAllowed({"127.0.0.1", 1}), IsOk());
  EXPECT_THAT(CheckPlaintextAllowed({"10.0.0.5", 50551}),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("refusing '10.0.0.5:50551'")));
}

TEST(PeakRssBytes, GrowsWithWhatIsTouched) {
  const int64_t before = PeakRssBytes();
  std::vector<char> block(64 << 20);
  for (size_t i = 0; i < block.size(); i += 4096) block[i] = 1;
  EXPECT_GE(PeakRssBytes(), before);
  EXPECT_GE(PeakRssBytes(), 64 << 20);
}

}  // namespace
}  // namespace tandem
