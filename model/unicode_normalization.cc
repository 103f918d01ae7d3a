#include "model/unicode_normalization.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <stdexcept>

namespace tandem {
namespace {

struct FreeMemory {
  void operator()(utf8proc_uint8_t* memory) const { std::free(memory); }
};

// What is below U+0300, whose lead bytes are below 0xCC, neither decomposes in
// form C nor composes with what is before it.
bool MayChange(char byte) { return static_cast<unsigned char>(byte) >= 0xCC; }

}  // namespace

std::string_view AsNfc(std::string_view text, std::string* storage) {
  if (std::none_of(text.begin(), text.end(), MayChange)) return text;
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &mapped,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, FreeMemory> owner(mapped);
  if (size < 0) {
    throw std::runtime_error(std::string("normalisation form C: ") +
                             utf8proc_errmsg(size));
  }
  storage->assign(reinterpret_cast<const char*>(mapped),
                  static_cast<size_t>(size));
  return *storage;
}

}  // namespace tandem
