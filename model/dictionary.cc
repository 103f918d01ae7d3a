#include "model/dictionary.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "common/digest.h"
#include "common/files.h"

namespace tandem {
namespace {

using Hash = std::string;  // SHA-256 in hexadecimal; orders as the number does

std::string LowerCase(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// Spaces collapsed into one, none at either end.
std::string Collapse(std::string_view line) {
  std::string collapsed;
  for (char c : line) {
    const bool is_space = c == ' ' || c == '\t' || c == '\r';
    if (!is_space) {
      collapsed += c;
    } else if (!collapsed.empty() && collapsed.back() != ' ') {
      collapsed += ' ';
    }
  }
  if (collapsed.ends_with(' ')) collapsed.pop_back();
  return collapsed;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "n 1: a neighborhood", "2: ...": how WordNet starts a sense.
bool StartsSense(std::string_view line) {
  for (std::string_view part : {"n ", "v ", "adj ", "adv "}) {
    if (!line.starts_with(part)) continue;
    line.remove_prefix(part.size());
    break;
  }
  size_t digits = 0;
  while (digits < line.size() && IsDigit(line[digits])) ++digits;
  return digits > 0 && line.substr(digits).starts_with(": ");
}

// Any character outside ASCII passes for a letter.
bool HasLetter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) {
    return c >= 0x80 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
  });
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// The lines at the margin that head an entry: the terms it defines.
size_t CountHeadLines(const std::vector<std::string>& lines) {
  size_t count = 0;
  while (count < lines.size() && !Collapse(lines[count]).empty() &&
         lines[count][0] != ' ' && lines[count][0] != '\t') {
    ++count;
  }
  return count;
}

std::string JoinBody(const std::vector<std::string>& lines, size_t first) {
  std::vector<std::string> paragraphs = {""};
  for (size_t i = first; i < lines.size(); ++i) {
    const std::string line = Collapse(lines[i]);
    if (line.empty() || StartsSense(line)) paragraphs.emplace_back();
    if (!paragraphs.back().empty()) paragraphs.back() += ' ';
    paragraphs.back() += line;
  }
  std::string body;
  for (const std::string& paragraph : paragraphs) {
    if (!HasLetter(paragraph)) continue;
    if (!body.empty()) body += '\n';
    body += paragraph;
  }
  return body;
}

void AddName(const std::string& name, Definition* definition) {
  std::string lower = LowerCase(name);
  auto& names = definition->names;
  if (lower.empty()) return;
  if (std::find(names.begin(), names.end(), lower) == names.end()) {
    names.push_back(std::move(lower));
  }
}

// Which names occur in more than one dictionary.
std::unordered_set<std::string> SharedNames(
    const std::vector<std::vector<Definition>>& dictionaries) {
  std::unordered_map<std::string, size_t> first_owner;
  std::unordered_set<std::string> shared;
  for (size_t owner = 0; owner < dictionaries.size(); ++owner) {
    for (const Definition& definition : dictionaries[owner]) {
      for (const std::string& name : definition.names) {
        const auto [found, is_new] = first_owner.emplace(name, owner);
        if (!is_new && found->second != owner) shared.insert(name);
      }
    }
  }
  return shared;
}

// The definitions that are worth keeping, ordered by hash; counts the others.
std::map<Hash, Definition> Select(std::vector<Definition> definitions,
                                  const DictionaryOptions& options,
                                  const std::unordered_set<std::string>& shared,
                                  DictionarySplit* split) {
  std::map<Hash, Definition> kept;
  std::unordered_set<std::string> seen;
  for (Definition& definition : definitions) {
    const auto is_shared = [&](const std::string& name) {
      return shared.contains(name);
    };
    Hash hash = Sha256Hex(LowerCase(definition.headword));
    if (static_cast<int64_t>(definition.definition.size()) <
        std::max<int64_t>(options.min_definition_bytes, 1)) {
      ++split->dropped_short;
    } else if (std::any_of(definition.names.begin(), definition.names.end(),
                           is_shared)) {
      ++split->dropped_shared;
    } else if (kept.contains(hash) ||
               !seen.insert(definition.definition).second) {
      ++split->dropped_duplicate;
    } else {
      kept.emplace(std::move(hash), std::move(definition));
    }
  }
  return kept;
}

// The first 52 bits of the hash as a fraction of all: exact in a double.
double Fraction(const Hash& hash) {
  return static_cast<double>(std::stoull(hash.substr(0, 13), nullptr, 16)) /
         static_cast<double>(uint64_t{1} << 52);
}

StatusOr<DictionarySplit> SplitOne(
    const std::string& name, std::vector<Definition> definitions,
    const DictionaryOptions& options,
    const std::unordered_set<std::string>& shared) {
  DictionarySplit split;
  split.name = name;
  split.entries = static_cast<int64_t>(definitions.size());
  for (auto& [hash, definition] :
       Select(std::move(definitions), options, shared, &split)) {
    const bool is_held_out = Fraction(hash) < options.held_out_share;
    (is_held_out ? split.held_out : split.train)
        .push_back(std::move(definition));
  }
  if (split.train.empty() && split.held_out.empty()) {
    return InvalidArgument(
        "nothing is left of dictionary '{}': of {} entries {} are shared with "
        "other dictionaries, {} too short, {} repeated",
        name, split.entries, split.dropped_shared, split.dropped_short,
        split.dropped_duplicate);
  }
  return split;
}

Status CheckOptions(const std::vector<DictionaryFiles>& dictionaries,
                    const DictionaryOptions& options) {
  if (!(options.held_out_share >= 0 && options.held_out_share <= 1)) {
    return InvalidArgument("held-out share is {}, expected 0 to 1",
                           options.held_out_share);
  }
  std::set<std::string> names;
  for (const DictionaryFiles& files : dictionaries) {
    if (names.insert(files.name).second) continue;
    return InvalidArgument("dictionary '{}' is named twice", files.name);
  }
  return OkStatus();
}

Status WriteJsonLines(const std::vector<Definition>& definitions,
                      const std::filesystem::path& path) {
  std::string lines;
  for (const Definition& definition : definitions) {
    const nlohmann::ordered_json line = {
        {"prompt", "Define: " + definition.headword},
        {"completion", definition.definition}};
    lines += line.dump() + "\n";
  }
  return WriteFileAtomically(path, lines);
}

}  // namespace

Definition CleanEntry(const DictdEntry& entry) {
  const std::vector<std::string> lines = Lines(entry.text);
  const size_t heads = CountHeadLines(lines);
  Definition definition;
  for (size_t i = 0; i < heads; ++i) AddName(Collapse(lines[i]), &definition);
  for (const std::string& headword : entry.headwords) {
    AddName(Collapse(headword), &definition);
  }
  if (heads > 0) {
    definition.headword = Collapse(lines[0]);
  } else if (!entry.headwords.empty()) {
    definition.headword = Collapse(entry.headwords[0]);
  }
  definition.definition = JoinBody(lines, heads);
  return definition;
}

DictionaryFiles DictionaryIn(const std::filesystem::path& folder,
                             const std::string& name) {
  return {name, folder / (name + ".index"), folder / (name + ".dict.dz")};
}

StatusOr<std::vector<DictionarySplit>> SplitDictionaries(
    const std::vector<DictionaryFiles>& dictionaries,
    const DictionaryOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckOptions(dictionaries, options));
  std::vector<std::vector<Definition>> definitions;
  for (const DictionaryFiles& files : dictionaries) {
    TANDEM_ASSIGN_OR_RETURN(const std::vector<DictdEntry> entries,
                            ReadDictdFiles(files.index, files.text));
    std::vector<Definition>& cleaned = definitions.emplace_back();
    for (const DictdEntry& entry : entries) {
      cleaned.push_back(CleanEntry(entry));
    }
  }
  const std::unordered_set<std::string> shared = SharedNames(definitions);
  std::vector<DictionarySplit> splits;
  for (size_t i = 0; i < dictionaries.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(
        DictionarySplit split,
        SplitOne(dictionaries[i].name, std::move(definitions[i]), options,
                 shared));
    splits.push_back(std::move(split));
  }
  return splits;
}

Status WriteDictionarySplit(const DictionarySplit& split,
                            const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "create", folder);
  TANDEM_RETURN_IF_ERROR(
      WriteJsonLines(split.train, folder / (split.name + ".train.jsonl")));
  return WriteJsonLines(split.held_out,
                        folder / (split.name + ".heldout.jsonl"));
}

}  // namespace tandem
