#include "common/tensorboard_file.h"

#include <unistd.h>

#include <bit>

#include "common/crc32c.h"

namespace tandem {
namespace {

// Wire types of protocol buffers.
enum class Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

template <typename T>
std::string LittleEndian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) {
    bytes += static_cast<char>(value >> (8 * i));
  }
  return bytes;
}

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) {
    bytes += static_cast<char>(value | 0x80);
  }
  return bytes + static_cast<char>(value);
}

std::string Key(int field, Wire wire) {
  return Varint(static_cast<uint64_t>(field) << 3 | static_cast<int>(wire));
}

std::string BytesField(int field, std::string_view bytes) {
  return Key(field, Wire::kBytes) + Varint(bytes.size()) + std::string(bytes);
}

std::string DoubleField(int field, double value) {
  return Key(field, Wire::kFixed64) +
         LittleEndian(std::bit_cast<uint64_t>(value));
}

std::string FloatField(int field, float value) {
  return Key(field, Wire::kFixed32) +
         LittleEndian(std::bit_cast<uint32_t>(value));
}

std::string WallTime(TimePoint time) {
  return DoubleField(1, ToSeconds(time.time_since_epoch()));
}

// A checksum of data that holds checksums is no good one, hence the mask.
uint32_t MaskedCrc(std::string_view bytes) {
  return std::rotr(Crc32c(bytes), 15) + 0xa282ead8u;
}

}  // namespace

std::string TensorBoardRecord(std::string_view data) {
  const std::string length = LittleEndian(static_cast<uint64_t>(data.size()));
  return length + LittleEndian(MaskedCrc(length)) + std::string(data) +
         LittleEndian(MaskedCrc(data));
}

std::string VersionEvent(TimePoint time) {
  return WallTime(time) + BytesField(3, "brain.Event:2");
}

std::string ScalarsEvent(TimePoint time, int64_t step, const Scalars& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    summary += BytesField(
        1, BytesField(1, tag) + FloatField(2, static_cast<float>(value)));
  }
  return WallTime(time) + Key(2, Wire::kVarint) +
         Varint(static_cast<uint64_t>(step)) + BytesField(5, summary);
}

TensorBoardFile::TensorBoardFile(std::filesystem::path path, const Clock& clock)
    : path_(std::move(path)),
      clock_(&clock),
      out_(path_, std::ios::binary | std::ios::trunc) {}

StatusOr<TensorBoardFile> TensorBoardFile::Create(
    const std::filesystem::path& folder, const Clock& clock) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
      clock.Now().time_since_epoch());
  // TensorBoard reads them in the order of their names: hence the width.
  TensorBoardFile file(folder / fmt::format("events.out.tfevents.{:010}.{}",
                                            seconds.count(), ::getpid()),
                       clock);
  TANDEM_RETURN_IF_ERROR(file.Append(VersionEvent(clock.Now())));
  return file;
}

Status TensorBoardFile::Write(int64_t step, const Scalars& scalars) {
  return Append(ScalarsEvent(clock_->Now(), step, scalars));
}

Status TensorBoardFile::Append(std::string_view event) {
  out_ << TensorBoardRecord(event) << std::flush;
  return out_ ? OkStatus() : Internal("cannot write {}", path_.string());
}

}  // namespace tandem
