#include "client/object_cache.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/files.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TempFolder;

constexpr int64_t kChunk = 10;

// Serves `bytes` in chunks; `corrupt_downloads` passes from the start are
// wrong in their last byte, and the call at `fail_at` fails once.
struct Source {
  std::string bytes;
  int corrupt_downloads = 0;
  int64_t fail_at = -1;
  std::vector<int64_t> offsets;

  StatusOr<proto::GetObjectResponse> operator()(int64_t offset) {
    offsets.push_back(offset);
    if (offset == fail_at) {
      fail_at = -1;
      return Unavailable("connection lost");
    }
    proto::GetObjectResponse response;
    response.set_size_bytes(static_cast<int64_t>(bytes.size()));
    std::string chunk = bytes.substr(offset, kChunk);
    const bool last = offset + kChunk >= static_cast<int64_t>(bytes.size());
    if (last && corrupt_downloads > 0) {
      --corrupt_downloads;
      chunk.back() ^= 1;
    }
    response.set_chunk(chunk);
    return response;
  }
};

class ObjectCacheTest : public ::testing::Test {
 protected:
  ObjectCache Open(int64_t max_bytes = 1000, const std::string& owner = "a") {
    return *ObjectCache::Open(folder_.path(), owner, max_bytes);
  }
  static proto::ObjectRef Ref(const std::string& bytes) {
    proto::ObjectRef object;
    object.set_sha256(Sha256Hex(bytes));
    object.set_size_bytes(static_cast<int64_t>(bytes.size()));
    return object;
  }
  static StatusOr<fs::path> Fetch(ObjectCache& cache, Source& source) {
    return cache.Fetch(Ref(source.bytes), std::ref(source));
  }
  int FileCount() const {
    return static_cast<int>(std::distance(
        fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }
  TempFolder folder_;
  Source source_{std::string("0123456789abcdefghijABCDE"), 0, -1, {}};
};

TEST_F(ObjectCacheTest, DownloadsOnceAndVerifies) {
  ObjectCache cache = Open();
  TANDEM_ASSERT_OK_AND_ASSIGN(const fs::path path, Fetch(cache, source_));
  EXPECT_EQ(*ReadFile(path), source_.bytes);
  EXPECT_THAT(source_.offsets, ElementsAre(0, 10, 20));
  EXPECT_THAT(Fetch(cache, source_), IsOk());
  EXPECT_EQ(source_.offsets.size(), 3u);
  // Another run of the program has it too.
  ObjectCache reopened = Open();
  EXPECT_THAT(Fetch(reopened, source_), IsOk());
  EXPECT_EQ(source_.offsets.size(), 3u);
  EXPECT_EQ(FileCount(), 1);
}

TEST_F(ObjectCacheTest, ContinuesADroppedDownload) {
  source_.fail_at = 20;
  {
    ObjectCache cache = Open();
    EXPECT_THAT(Fetch(cache, source_), StatusIs(StatusCode::kUnavailable));
  }
  ObjectCache cache = Open();
  TANDEM_ASSERT_OK_AND_ASSIGN(const fs::path path, Fetch(cache, source_));
  EXPECT_EQ(*ReadFile(path), source_.bytes);
  EXPECT_THAT(source_.offsets, ElementsAre(0, 10, 20, 20));
}

TEST_F(ObjectCacheTest, OneCorruptDownloadIsRepeated) {
  source_.corrupt_downloads = 1;
  ObjectCache cache = Open();
  TANDEM_ASSERT_OK_AND_ASSIGN(const fs::path path, Fetch(cache, source_));
  EXPECT_EQ(*ReadFile(path), source_.bytes);
  EXPECT_THAT(source_.offsets, ElementsAre(0, 10, 20, 0, 10, 20));
}

TEST_F(ObjectCacheTest, TwoCorruptDownloadsAreAnErrorAndLeaveNothing) {
  source_.corrupt_downloads = 2;
  ObjectCache cache = Open();
  EXPECT_THAT(Fetch(cache, source_),
              StatusIs(StatusCode::kDataLoss, HasSubstr("another digest")));
  EXPECT_EQ(FileCount(), 0);
}

TEST_F(ObjectCacheTest, AFileThatRottedIsFetchedAgain) {
  ObjectCache cache = Open();
  TANDEM_ASSERT_OK_AND_ASSIGN(const fs::path path, Fetch(cache, source_));
  std::string rotten = source_.bytes;
  rotten[3] ^= 1;
  ASSERT_THAT(WriteFileAtomically(path, rotten), IsOk());
  EXPECT_THAT(Fetch(cache, source_), IsOk());
  EXPECT_EQ(*ReadFile(path), source_.bytes);
}

TEST_F(ObjectCacheTest, APartialFileLongerThanTheObjectIsThrownAway) {
  const proto::ObjectRef object = Ref(source_.bytes);
  ASSERT_THAT(WriteFileAtomically(folder_ / (object.sha256() + ".a.part"),
                                  std::string(40, 'x')),
              IsOk());
  ObjectCache cache = Open();
  TANDEM_ASSERT_OK_AND_ASSIGN(const fs::path path, Fetch(cache, source_));
  EXPECT_EQ(*ReadFile(path), source_.bytes);
}

TEST_F(ObjectCacheTest, ClientsThatShareAFolderDoNotShareParts) {
  source_.fail_at = 10;
  ObjectCache a = Open(1000, "a"), b = Open(1000, "b");
  EXPECT_THAT(Fetch(a, source_), StatusIs(StatusCode::kUnavailable));
  Source other{source_.bytes, 0, -1, {}};
  EXPECT_THAT(Fetch(b, other), IsOk());
  EXPECT_THAT(other.offsets, ElementsAre(0, 10, 20));
}

TEST_F(ObjectCacheTest, DropsWhatWasNotUsedForLongest) {
  ObjectCache cache = Open(/*max_bytes=*/60);
  Source first{std::string(25, '1'), 0, -1, {}};
  Source second{std::string(25, '2'), 0, -1, {}};
  Source third{std::string(25, '3'), 0, -1, {}};
  TANDEM_ASSERT_OK_AND_ASSIGN(const fs::path one, Fetch(cache, first));
  TANDEM_ASSERT_OK_AND_ASSIGN(const fs::path two, Fetch(cache, second));
  const auto now = fs::file_time_type::clock::now();
  fs::last_write_time(one, now - std::chrono::hours(2));
  fs::last_write_time(two, now - std::chrono::hours(1));
  EXPECT_THAT(Fetch(cache, first), IsOk());  // used again: now the younger
  EXPECT_THAT(Fetch(cache, third), IsOk());
  EXPECT_TRUE(fs::exists(one));
  EXPECT_FALSE(fs::exists(two));
}

TEST_F(ObjectCacheTest, LeavesForeignFilesAlone) {
  ASSERT_THAT(WriteFileAtomically(folder_ / "notes.txt", std::string(90, 'x')),
              IsOk());
  ObjectCache cache = Open(/*max_bytes=*/30);
  EXPECT_THAT(Fetch(cache, source_), IsOk());
  EXPECT_TRUE(fs::exists(folder_ / "notes.txt"));
}

TEST_F(ObjectCacheTest, RefusesBadReferences) {
  ObjectCache cache = Open(/*max_bytes=*/20);
  EXPECT_THAT(Fetch(cache, source_),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("25 bytes")));
  proto::ObjectRef escape = Ref("x");
  escape.set_sha256("../../../../etc/passwd");
  EXPECT_THAT(cache.Fetch(escape, std::ref(source_)),
              StatusIs(StatusCode::kInvalidArgument));
  proto::ObjectRef negative = Ref("x");
  negative.set_size_bytes(-1);
  EXPECT_THAT(cache.Fetch(negative, std::ref(source_)),
              StatusIs(StatusCode::kInvalidArgument));
  EXPECT_TRUE(source_.offsets.empty());
  EXPECT_THAT(ObjectCache::Open(folder_.path(), "../a", 1),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("../a")));
}

TEST_F(ObjectCacheTest, ASourceThatLiesIsAnErrorNotALoop) {
  ObjectCache cache = Open();
  const proto::ObjectRef object = Ref(source_.bytes);
  proto::GetObjectResponse response;
  response.set_size_bytes(25);
  const auto lying = [&](int64_t) {
    return StatusOr<proto::GetObjectResponse>(response);
  };
  EXPECT_THAT(cache.Fetch(object, lying),
              StatusIs(StatusCode::kDataLoss, HasSubstr("0 bytes at 0 of 25")));
  response.set_chunk(std::string(26, 'x'));
  EXPECT_THAT(cache.Fetch(object, lying), StatusIs(StatusCode::kDataLoss));
  response.set_chunk("x");
  response.set_size_bytes(26);
  EXPECT_THAT(cache.Fetch(object, lying),
              StatusIs(StatusCode::kDataLoss, HasSubstr("26 bytes")));
}

TEST_F(ObjectCacheTest, AnEmptyObjectIsAnObject) {
  ObjectCache cache = Open();
  Source empty;
  TANDEM_ASSERT_OK_AND_ASSIGN(const fs::path path, Fetch(cache, empty));
  EXPECT_EQ(fs::file_size(path), 0u);
}

}  // namespace
}  // namespace tandem
