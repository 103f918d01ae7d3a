// The types of a GGUF file's metadata values (GGUF version 3).
#ifndef TANDEM_MODEL_GGUF_VALUE_TYPE_H_
#define TANDEM_MODEL_GGUF_VALUE_TYPE_H_

#include <cstdint>

namespace tandem::gguf {

enum ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12
};

}  // namespace tandem::gguf

#endif  // TANDEM_MODEL_GGUF_VALUE_TYPE_H_
