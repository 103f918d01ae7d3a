// Dictionaries of the DICT server dictd (RFC 2229): NAME.dict.dz, gzip, and
// NAME.index, whose lines are headword, offset and length, parted by tabs.
#ifndef TANDEM_MODEL_DICTD_FILE_H_
#define TANDEM_MODEL_DICTD_FILE_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tandem {

// A stretch of the dictionary's text and all headwords that lead to it.
struct DictdEntry {
  std::vector<std::string> headwords;  // as indexed, in the index's order
  std::string text;                    // as laid out; valid UTF-8
};

// A number in dictd's base64: digits A-Z a-z 0-9 + /, most significant first.
// InvalidArgument for other characters, no digits, or more than 60 bits.
StatusOr<int64_t> ParseDictdNumber(std::string_view digits);

// Entries in the order of their text. The index's "00-database-" entries, which
// describe the dictionary, are left out. NotFound; InvalidArgument, naming
// file, line and what was expected, for anything malformed.
StatusOr<std::vector<DictdEntry>> ReadDictdFiles(
    const std::filesystem::path& index, const std::filesystem::path& text);

}  // namespace tandem

#endif  // TANDEM_MODEL_DICTD_FILE_H_
