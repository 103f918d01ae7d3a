#include "client/object_upload.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using testing::IsOk;
using testing::StatusIs;

// The server's half: keeps chunks that continue what it has.
struct Sink {
  std::string received;
  std::vector<int64_t> offsets;
  StatusOr<int64_t> operator()(int64_t offset, std::string_view chunk) {
    offsets.push_back(offset);
    if (offset == static_cast<int64_t>(received.size())) received += chunk;
    return static_cast<int64_t>(received.size());
  }
};

TEST(UploadObject, AsksThenSendsInOrder) {
  Sink sink;
  EXPECT_THAT(UploadObject("0123456789", 4, std::ref(sink)), IsOk());
  EXPECT_EQ(sink.received, "0123456789");
  EXPECT_THAT(sink.offsets, ElementsAre(0, 0, 4, 8));
}

TEST(UploadObject, ContinuesWhereTheServerIs) {
  Sink sink;
  sink.received = "01234567";
  EXPECT_THAT(UploadObject("0123456789", 4, std::ref(sink)), IsOk());
  EXPECT_EQ(sink.received, "0123456789");
  EXPECT_THAT(sink.offsets, ElementsAre(0, 8));
}

TEST(UploadObject, SendsNothingThatIsThere) {
  Sink sink;
  sink.received = "0123456789";
  EXPECT_THAT(UploadObject("0123456789", 4, std::ref(sink)), IsOk());
  EXPECT_THAT(sink.offsets, ElementsAre(0));
}

TEST(UploadObject, FollowsAServerThatLostSomething) {
  Sink sink;
  bool lost = false;
  EXPECT_THAT(UploadObject("0123456789", 2,
                           [&](int64_t offset, std::string_view chunk) {
                             if (offset == 8 && !lost) {
                               lost = true;
                               sink.received.resize(3);
                             }
                             return sink(offset, chunk);
                           }),
              IsOk());
  EXPECT_EQ(sink.received, "0123456789");
}

TEST(UploadObject, SendsOnceMoreWhatTheServerThrewAway) {
  Sink sink;
  int refusals = 1;
  const auto refusing = [&](int64_t offset,
                            std::string_view chunk) -> StatusOr<int64_t> {
    if (offset == 8 && refusals-- > 0) {
      sink.received.clear();
      return InvalidArgument("digest differs");
    }
    return sink(offset, chunk);
  };
  EXPECT_THAT(UploadObject("0123456789", 4, refusing), IsOk());
  EXPECT_EQ(sink.received, "0123456789");
  sink.received.clear();
  refusals = 2;
  EXPECT_THAT(UploadObject("0123456789", 4, refusing),
              StatusIs(StatusCode::kInvalidArgument));
}

TEST(UploadObject, NoProgressOrNonsenseIsAnErrorNotALoop) {
  for (const int64_t answer : {0, 3, 11, -1}) {
    EXPECT_THAT(UploadObject("0123456789", 4,
                             [&](int64_t, std::string_view) {
                               return StatusOr<int64_t>(answer);
                             }),
                StatusIs(StatusCode::kDataLoss))
        << answer;
  }
}

TEST(UploadObject, PassesErrorsOnAtOnce) {
  for (const Status& status :
       {ResourceExhausted("full"), FailedPrecondition("no open task")}) {
    int calls = 0;
    const auto refusing = [&](int64_t, std::string_view) -> StatusOr<int64_t> {
      ++calls;
      return status;
    };
    EXPECT_THAT(UploadObject("0123456789", 4, refusing),
                StatusIs(status.code()));
    EXPECT_EQ(calls, 1);
  }
}

}  // namespace
}  // namespace tandem
