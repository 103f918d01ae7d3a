// What one scalar field of a configuration message takes: its type and the
// options min, max, one_of of proto/config.proto, found by name through the
// descriptor pool.
#ifndef TANDEM_COMMON_CONFIG_SCALAR_H_
#define TANDEM_COMMON_CONFIG_SCALAR_H_

#include <google/protobuf/message.h>

#include <string>

namespace tandem {

// "an integer between 1 and 10", "a number of at least 0", "true or false",
// "one of: sgd, adam", "text".
std::string ExpectedScalar(const google::protobuf::FieldDescriptor& field);

// One scalar as YAML wrote it.
struct ConfigScalar {
  std::string text;
  bool quoted = false;  // then it is text, whatever it looks like
};

// Sets `field` of `message`, or appends where it is repeated. False, and
// nothing is changed, where the value is not what ExpectedScalar says:
// booleans are `true` or `false`; integers are decimal, without fraction or
// exponent; numbers are finite.
// REQUIRES: field is of a scalar type.
bool StoreScalar(const ConfigScalar& value,
                 const google::protobuf::FieldDescriptor& field,
                 google::protobuf::Message* message);

// ", did you mean 'adam'?" where the field has a known set of values that
// `text` is near to, else "".
std::string NearestChoice(const std::string& text,
                          const google::protobuf::FieldDescriptor& field);

// The option `required` of proto/config.proto.
bool IsRequired(const google::protobuf::FieldDescriptor& field);

}  // namespace tandem

#endif  // TANDEM_COMMON_CONFIG_SCALAR_H_
