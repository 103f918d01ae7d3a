#include "model/unicode_class.h"

#include <utf8proc.h>

namespace tandem {
namespace {

bool IsWhiteSpace(char32_t point) {
  return (point >= 0x9 && point <= 0xD) || point == 0x20 || point == 0x85 ||
         point == 0xA0 || point == 0x1680 ||
         (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
         point == 0x2029 || point == 0x202F || point == 0x205F ||
         point == 0x3000;
}

}  // namespace

UnicodeClass ClassOf(char32_t code_point) {
  if (IsWhiteSpace(code_point)) return UnicodeClass::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return UnicodeClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return UnicodeClass::kNumber;
    default:
      return UnicodeClass::kOther;
  }
}

}  // namespace tandem
