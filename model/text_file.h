// Text files through a parser or formatter, whose errors then name the file.
#ifndef TANDEM_MODEL_TEXT_FILE_H_
#define TANDEM_MODEL_TEXT_FILE_H_

#include <filesystem>
#include <string>
#include <type_traits>

#include "common/files.h"
#include "common/status.h"

namespace tandem {

// `parse` takes the text and returns Status or StatusOr; errors are led by the
// path. The errors of ReadFile, too.
template <typename Parse>
auto ParseFile(const std::filesystem::path& path, Parse&& parse)
    -> std::invoke_result_t<Parse, const std::string&> {
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  auto result = parse(text);
  if constexpr (std::is_same_v<decltype(result), Status>) {
    return Annotate(result, path.string());
  } else {
    if (!result.ok()) return Annotate(result.status(), path.string());
    return result;
  }
}

// Writes a formatter's text, or returns its error led by the path.
inline Status WriteText(const std::filesystem::path& path,
                        const StatusOr<std::string>& text) {
  if (!text.ok()) return Annotate(text.status(), path.string());
  return WriteFileAtomically(path, *text);
}

}  // namespace tandem

#endif  // TANDEM_MODEL_TEXT_FILE_H_
