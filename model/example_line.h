// One line of a JSONL file as an example.
#ifndef TANDEM_MODEL_EXAMPLE_LINE_H_
#define TANDEM_MODEL_EXAMPLE_LINE_H_

#include <string_view>

#include "common/status.h"
#include "model/examples.h"

namespace tandem {

// InvalidArgument says what is wrong and what was expected. Further fields of
// the object are ignored.
StatusOr<Example> ParseExampleLine(std::string_view line);

// For messages: the forms that a line may have.
const char* ExpectedExample();

}  // namespace tandem

#endif  // TANDEM_MODEL_EXAMPLE_LINE_H_
