// Ends a text that comes in pieces where one of some strings appears in it.
#ifndef TANDEM_MODEL_STOP_STRINGS_H_
#define TANDEM_MODEL_STOP_STRINGS_H_

#include <string>
#include <string_view>
#include <vector>

namespace tandem {

class StopStrings {
 public:
  // Empty strings are left out.
  explicit StopStrings(std::vector<std::string> strings);

  // Takes the text's next bytes; returns those, of these and of earlier ones,
  // that are certain to stand before any stop string.
  std::string Push(std::string_view piece);
  // True once a stop string was complete. What follows is not looked at.
  bool stopped() const { return stopped_; }
  // What was held back, when the text ended without a stop string.
  std::string Flush();

 private:
  std::vector<std::string> strings_;
  std::string held_;  // may be the beginning of a stop string
  bool stopped_ = false;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_STOP_STRINGS_H_
