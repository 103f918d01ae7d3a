#include "server/object_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <limits>
#include <thread>
#include <vector>

#include "common/digest.h"
#include "tests/testing/limited_disk.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::tandem::testing::InChildProcess;
using ::tandem::testing::IsOk;
using ::tandem::testing::LimitFileSize;
using ::tandem::testing::MountSmallDisk;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::testing::HasSubstr;

constexpr int64_t kMaxBytes = 1 << 20;

std::unique_ptr<FileObjectStore> OpenStore(const std::filesystem::path& path) {
  auto store = FileObjectStore::Open(path, kMaxBytes);
  EXPECT_THAT(store, IsOk());
  return *std::move(store);
}

// Bytes that differ from place to place.
std::string SomeBytes(size_t size, char first = 'a') {
  std::string bytes(size, ' ');
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(first + (i * i + i / 251) % 61);
  }
  return bytes;
}

int CountFiles(const std::filesystem::path& folder) {
  int count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(folder)) {
    ++count;
  }
  return count;
}

class ObjectStoreTest : public ::testing::Test {
 protected:
  // One call with everything that is left from `offset` on.
  StatusOr<int64_t> Upload(const std::string& bytes, int64_t offset,
                           size_t size = std::string::npos) {
    return store_->AppendUpload(Sha256Hex(bytes),
                                static_cast<int64_t>(bytes.size()), offset,
                                std::string_view(bytes).substr(offset, size));
  }

  TempFolder folder_;
  std::unique_ptr<FileObjectStore> store_ = OpenStore(folder_ / "objects");
};

TEST_F(ObjectStoreTest, PutBytesCanBeReadBackInEveryWay) {
  const std::string bytes = SomeBytes(10'000);
  TANDEM_ASSERT_OK_AND_ASSIGN(const proto::ObjectRef ref,
                              store_->PutBytes(bytes));
  EXPECT_EQ(ref.sha256(), Sha256Hex(bytes));
  EXPECT_EQ(ref.size_bytes(), 10'000);
  EXPECT_TRUE(store_->Has(ref.sha256()));
  EXPECT_EQ(*store_->Size(ref.sha256()), 10'000);
  EXPECT_EQ(store_->Open(ref.sha256())->text(), bytes);
  EXPECT_EQ(*ReadFile(*store_->Path(ref.sha256())), bytes);
  EXPECT_THAT(store_->PutBytes(bytes), IsOk());
  EXPECT_EQ(CountFiles(folder_ / "objects"), 1);
}

TEST_F(ObjectStoreTest, PutFileMovesTheFile) {
  const std::string bytes = SomeBytes(5000);
  for (int turn = 0; turn < 2; ++turn) {  // the second time it is there already
    ASSERT_THAT(WriteFileAtomically(folder_ / "update", bytes), IsOk());
    const auto ref = store_->PutFile(folder_ / "update");
    ASSERT_THAT(ref, IsOk());
    EXPECT_EQ(ref->sha256(), Sha256Hex(bytes));
    EXPECT_EQ(ref->size_bytes(), 5000);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "update"));
    EXPECT_EQ(store_->Open(ref->sha256())->text(), bytes);
  }
  EXPECT_THAT(store_->PutFile(folder_ / "update"),
              StatusIs(StatusCode::kNotFound));
}

TEST_F(ObjectStoreTest, ReadChunkPutsTheObjectTogether) {
  const std::string bytes = SomeBytes(1000);
  const std::string digest = store_->PutBytes(bytes)->sha256();
  std::string read;
  while (true) {
    const auto chunk =
        store_->ReadChunk(digest, static_cast<int64_t>(read.size()), 300);
    ASSERT_THAT(chunk, IsOk());
    EXPECT_LE(chunk->size(), 300u);
    if (chunk->empty()) break;
    read += *chunk;
  }
  EXPECT_EQ(read, bytes);
}

TEST_F(ObjectStoreTest, ReadChunkRefusesOffsetsOutsideTheObject) {
  const std::string digest = store_->PutBytes("12345")->sha256();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(*store_->ReadChunk(digest, 5, 10), "");
  EXPECT_EQ(*store_->ReadChunk(digest, 3, kMax), "45");
  EXPECT_EQ(*store_->ReadChunk(digest, 3, -1), "");
  for (int64_t offset : {int64_t{-1}, int64_t{6}, kMax, -kMax - 1}) {
    EXPECT_THAT(
        store_->ReadChunk(digest, offset, 1),
        StatusIs(StatusCode::kOutOfRange, HasSubstr(std::to_string(offset))));
  }
}

TEST_F(ObjectStoreTest, MissingObjectsAreNotFound) {
  const std::string digest = Sha256Hex("never stored");
  EXPECT_FALSE(store_->Has(digest));
  EXPECT_THAT(store_->Size(digest),
              StatusIs(StatusCode::kNotFound, HasSubstr(digest)));
  EXPECT_THAT(store_->Path(digest), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(store_->Open(digest).status(), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(store_->ReadChunk(digest, 0, 1), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(store_->Remove(digest), IsOk());
}

TEST_F(ObjectStoreTest, NamesThatAreNotDigestsNeverReachThePath) {
  std::ofstream(folder_ / "secret") << "x";
  std::vector<std::string> names = {"",
                                    "../secret",
                                    std::string(64, 'A'),
                                    std::string(64, '/'),
                                    std::string(63, 'a'),
                                    std::string(65, 'a'),
                                    Sha256Hex("a") + ".part",
                                    std::string(64, 'a') + "/../../secret"};
  names.push_back(std::string(63, 'a') + '\0');
  for (const std::string& name : names) {
    const auto refused = StatusIs(StatusCode::kInvalidArgument);
    EXPECT_FALSE(store_->Has(name));
    EXPECT_THAT(store_->Path(name), refused);
    EXPECT_THAT(store_->Size(name), refused);
    EXPECT_THAT(store_->Open(name).status(), refused);
    EXPECT_THAT(store_->ReadChunk(name, 0, 1), refused);
    EXPECT_THAT(store_->AppendUpload(name, 1, 0, "x"), refused);
    EXPECT_THAT(store_->Remove(name), refused);
  }
  EXPECT_EQ(CountFiles(folder_ / "objects"), 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "secret"));
}

TEST_F(ObjectStoreTest, UploadInChunksBecomesAnObject) {
  const std::string bytes = SomeBytes(1000), digest = Sha256Hex(bytes);
  for (int64_t offset = 0; offset < 1000; offset += 300) {
    EXPECT_FALSE(store_->Has(digest));
    const auto received = Upload(bytes, offset, 300);
    ASSERT_THAT(received, IsOk());
    EXPECT_EQ(*received, std::min<int64_t>(offset + 300, 1000));
  }
  EXPECT_EQ(store_->Open(digest)->text(), bytes);
  EXPECT_EQ(CountFiles(folder_ / "objects"), 1);
  // Done is done, whatever comes again.
  EXPECT_EQ(*Upload(bytes, 300, 300), 1000);
  EXPECT_EQ(*Upload(bytes, 0, 0), 1000);
}

TEST_F(ObjectStoreTest, AnEmptyObjectCanBeUploaded) {
  EXPECT_EQ(*Upload("", 0), 0);
  EXPECT_TRUE(store_->Has(Sha256Hex("")));
  EXPECT_EQ(store_->Open(Sha256Hex(""))->text(), "");
}

TEST_F(ObjectStoreTest, UploadResumesAfterARestart) {
  const std::string bytes = SomeBytes(1000);
  ASSERT_EQ(*Upload(bytes, 0, 400), 400);
  store_ = OpenStore(folder_ / "objects");
  EXPECT_FALSE(store_->Has(Sha256Hex(bytes)));
  EXPECT_EQ(*Upload(bytes, 0, 0), 400);
  EXPECT_EQ(*Upload(bytes, 400), 1000);
  EXPECT_EQ(store_->Open(Sha256Hex(bytes))->text(), bytes);
}

TEST_F(ObjectStoreTest, ChunksOutOfPlaceAreLeftOutAndAnswered) {
  const std::string bytes = SomeBytes(1000);
  EXPECT_EQ(*Upload(bytes, 500, 100), 0);  // ahead
  EXPECT_EQ(*Upload(bytes, 0, 400), 400);
  EXPECT_EQ(*Upload(bytes, 0, 400), 400);    // repeated after a lost answer
  EXPECT_EQ(*Upload(bytes, 300, 200), 400);  // overlapping
  EXPECT_EQ(*Upload(bytes, 400), 1000);
  EXPECT_EQ(store_->Open(Sha256Hex(bytes))->text(), bytes);
}

TEST_F(ObjectStoreTest, WrongContentIsRefusedAndStartsOver) {
  const std::string bytes = SomeBytes(1000), digest = Sha256Hex(bytes);
  std::string wrong = bytes;
  wrong[999] ^= 1;
  ASSERT_THAT(store_->AppendUpload(digest, 1000, 0, wrong.substr(0, 600)),
              IsOk());
  EXPECT_THAT(
      store_->AppendUpload(digest, 1000, 600, wrong.substr(600)),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr(Sha256Hex(wrong))));
  EXPECT_FALSE(store_->Has(digest));
  EXPECT_EQ(CountFiles(folder_ / "objects"), 0);
  EXPECT_EQ(*Upload(bytes, 0), 1000);
  EXPECT_TRUE(store_->Has(digest));
}

TEST_F(ObjectStoreTest, SizesThatLieAreRefused) {
  const std::string digest = Sha256Hex("12345");
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const auto invalid = StatusIs(StatusCode::kInvalidArgument);
  EXPECT_THAT(store_->AppendUpload(digest, -1, 0, ""), invalid);
  EXPECT_THAT(store_->AppendUpload(digest, 5, -1, "1"), invalid);
  EXPECT_THAT(store_->AppendUpload(digest, 5, 6, ""), invalid);
  EXPECT_THAT(store_->AppendUpload(digest, 5, kMax, "1"), invalid);
  EXPECT_THAT(store_->AppendUpload(digest, 5, 3, "123"), invalid);
  EXPECT_THAT(store_->AppendUpload(digest, kMaxBytes + 1, 0, ""),
              StatusIs(StatusCode::kResourceExhausted,
                       HasSubstr("max_object_bytes = 1048576")));
  EXPECT_EQ(CountFiles(folder_ / "objects"), 0);
  ASSERT_THAT(store_->PutBytes("12345"), IsOk());
  EXPECT_THAT(store_->AppendUpload(digest, 4, 0, ""),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("5 bytes")));
}

TEST_F(ObjectStoreTest, AShorterTotalThanWhatIsThereStartsOver) {
  const std::string bytes = SomeBytes(100), digest = Sha256Hex(bytes);
  ASSERT_EQ(*store_->AppendUpload(digest, 5000, 0, SomeBytes(2000, 'b')), 2000);
  EXPECT_EQ(*Upload(bytes, 0, 0), 0);
  EXPECT_EQ(*Upload(bytes, 0), 100);
  EXPECT_EQ(store_->Open(digest)->text(), bytes);
}

TEST_F(ObjectStoreTest, RemoveDeletesObjectAndPartialUpload) {
  const std::string bytes = SomeBytes(1000);
  const std::string stored = store_->PutBytes("stored")->sha256();
  ASSERT_EQ(*Upload(bytes, 0, 400), 400);
  TANDEM_ASSERT_OK_AND_ASSIGN(const MappedFile mapped, store_->Open(stored));
  EXPECT_THAT(store_->Remove(stored), IsOk());
  EXPECT_THAT(store_->Remove(Sha256Hex(bytes)), IsOk());
  EXPECT_EQ(CountFiles(folder_ / "objects"), 0);
  EXPECT_EQ(mapped.text(), "stored");
  EXPECT_EQ(*Upload(bytes, 0, 0), 0);
}

TEST_F(ObjectStoreTest, ClientsUploadAtTheSameTime) {
  std::vector<std::thread> clients;
  // Six clients, two of which send the same object.
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back([this, i] {
      const std::string bytes =
          SomeBytes(20'000, static_cast<char>('a' + i % 5));
      int64_t received = 0;
      while (received < 20'000) {
        const auto answer = Upload(bytes, received, 700);
        ASSERT_THAT(answer, IsOk());
        received = *answer;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(CountFiles(folder_ / "objects"), 5);
  for (int i = 0; i < 5; ++i) {
    const std::string bytes = SomeBytes(20'000, static_cast<char>('a' + i));
    EXPECT_EQ(store_->Open(Sha256Hex(bytes))->text(), bytes);
  }
}

TEST_F(ObjectStoreTest, OpenSweepsOldTemporariesOnly) {
  const auto objects = folder_ / "objects";
  const std::string stored = store_->PutBytes("stored")->sha256();
  const auto old_file = objects / (stored + ".tmp-1-0");
  const auto new_file = objects / (stored + ".tmp-1-1");
  std::ofstream(old_file) << "x";
  std::ofstream(new_file) << "x";
  std::filesystem::last_write_time(
      old_file,
      std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  store_ = OpenStore(objects);
  EXPECT_FALSE(std::filesystem::exists(old_file));
  EXPECT_TRUE(std::filesystem::exists(new_file));
  EXPECT_TRUE(store_->Has(stored));
}

TEST_F(ObjectStoreTest, OpenSweepsUploadsThatWereGivenUp) {
  const std::string given_up = SomeBytes(1000), fresh = SomeBytes(1000, 'b');
  ASSERT_EQ(*Upload(given_up, 0, 400), 400);
  ASSERT_EQ(*Upload(fresh, 0, 400), 400);
  std::filesystem::last_write_time(
      folder_ / "objects" / (Sha256Hex(given_up) + ".part"),
      std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  store_ = OpenStore(folder_ / "objects");
  EXPECT_EQ(CountFiles(folder_ / "objects"), 1);
  EXPECT_EQ(*Upload(fresh, 0, 0), 400);
  EXPECT_EQ(*Upload(given_up, 0, 0), 0);
}

TEST_F(ObjectStoreTest, OpenNamesWhatIsWrong) {
  EXPECT_THAT(
      FileObjectStore::Open(folder_ / "objects", 0).status(),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("max_object_bytes")));
  std::ofstream(folder_ / "file") << "x";
  EXPECT_THAT(FileObjectStore::Open(folder_ / "file" / "objects", 1).status(),
              StatusIs(StatusCode::kNotFound, HasSubstr("file")));
}

// On a disk on which 60 KiB do not fit beside the first object: nothing that
// was stored is lost, nothing half-written is left, and when there is room
// again (`make_room`) the upload goes on where it was.
void ExpectNothingLostOnAFullDisk(
    const std::filesystem::path& folder,
    const std::function<void(ObjectStore&, const std::string& first)>&
        make_room) {
  const std::string first = SomeBytes(30 << 10), second = SomeBytes(60 << 10),
                    third = SomeBytes(60 << 10, 'c');
  const auto store = OpenStore(folder);
  const std::string stored = store->PutBytes(first)->sha256();
  EXPECT_THAT(store->PutBytes(second),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("write")));
  EXPECT_EQ(CountFiles(folder), 1);

  const std::string digest = Sha256Hex(third);
  const auto send = [&](int64_t offset, size_t size) {
    return store->AppendUpload(digest, 60 << 10, offset,
                               std::string_view(third).substr(offset, size));
  };
  ASSERT_EQ(*send(0, 20 << 10), 20 << 10);
  EXPECT_THAT(send(20 << 10, 40 << 10),
              StatusIs(StatusCode::kResourceExhausted));
  EXPECT_EQ(*send(0, 0), 20 << 10);
  EXPECT_EQ(store->Open(stored)->text(), first);

  make_room(*store, stored);
  EXPECT_EQ(*send(20 << 10, 40 << 10), 60 << 10);
  EXPECT_EQ(store->Open(digest)->text(), third);
}

TEST(ObjectStoreFullDiskTest, QuotaOnFileSize) {
  const TempFolder folder;
  InChildProcess([&folder] {
    LimitFileSize(50 << 10);
    ExpectNothingLostOnAFullDisk(
        folder.path(),
        [](ObjectStore&, const std::string&) { LimitFileSize(0); });
  });
}

TEST(ObjectStoreFullDiskTest, SmallFileSystem) {
  const TempFolder folder;
  InChildProcess([&folder] {
    if (!MountSmallDisk(folder.path(), 64)) {
      std::ofstream(folder / "not-mounted") << "x";
      return;
    }
    ExpectNothingLostOnAFullDisk(
        folder.path(), [](ObjectStore& store, const std::string& first) {
          EXPECT_THAT(store.Remove(first), IsOk());
        });
  });
  if (std::filesystem::exists(folder / "not-mounted")) {
    GTEST_SKIP() << "this machine does not let a process mount a file system "
                    "of its own; QuotaOnFileSize covers the path";
  }
}

}  // namespace
}  // namespace tandem
