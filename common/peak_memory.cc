#include "common/peak_memory.h"

#include <fstream>
#include <string>

namespace tandem {

// Not getrusage: a process inherits ru_maxrss from the one that started it.
int64_t PeakRssBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t kib = 0;
  while (status >> word) {
    if (word == "VmHWM:") return status >> kib ? kib * 1024 : 0;
  }
  return 0;
}

}  // namespace tandem
