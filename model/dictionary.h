// Dictionaries as training data: {"prompt": "Define: X", "completion": "..."},
// split into what trains and what is held out.
#ifndef TANDEM_MODEL_DICTIONARY_H_
#define TANDEM_MODEL_DICTIONARY_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/dictd_file.h"

namespace tandem {

struct Definition {
  std::string headword;    // as the entry's first line writes it
  std::string definition;  // one line a paragraph or sense
  // All that the entry goes by, ASCII letters lower-cased: its headwords in the
  // index and the lines that head its text.
  std::vector<std::string> names;
};

// Takes the page's layout off an entry: the lines that head it go, wrapped
// lines are joined, runs of spaces become one, paragraphs without a letter
// (dates, rules) go. Paragraphs and numbered senses ("2: ...") stay apart.
Definition CleanEntry(const DictdEntry& entry);

struct DictionaryOptions {
  double held_out_share = 0.1;        // of the headwords, 0 to 1
  int64_t min_definition_bytes = 20;  // shorter ones say too little
};

struct DictionaryFiles {
  std::string name;             // "wn"
  std::filesystem::path index;  // wn.index
  std::filesystem::path text;   // wn.dict.dz
};

// NAME.index and NAME.dict.dz in `folder`.
DictionaryFiles DictionaryIn(const std::filesystem::path& folder,
                             const std::string& name);

struct DictionarySplit {
  std::string name;
  // Both in the order of a hash of the headword: any first lines are a random
  // sample, the same on every machine.
  std::vector<Definition> train;
  std::vector<Definition> held_out;
  // entries = train + held_out + the three dropped, each counted once.
  int64_t entries = 0;
  int64_t dropped_short = 0;      // nothing or little to learn
  int64_t dropped_shared = 0;     // a name of theirs is in another dictionary
  int64_t dropped_duplicate = 0;  // headword or definition came before
};

// Reads all and splits each by SHA-256 of the lower-cased headword, so that a
// headword is on the same side in every dictionary and a larger share holds out
// all that a smaller one does. Entries of which a name occurs in more than one
// of the dictionaries are dropped from all of them, and so are repeated
// headwords and definitions, lest a held-out text trains elsewhere.
// InvalidArgument: a share outside 0 to 1, a dictionary named twice, one with
// nothing left, or what ReadDictdFiles refuses; NotFound.
StatusOr<std::vector<DictionarySplit>> SplitDictionaries(
    const std::vector<DictionaryFiles>& dictionaries,
    const DictionaryOptions& options);

// Writes NAME.train.jsonl and NAME.heldout.jsonl into `folder`, which is made
// where it is missing.
Status WriteDictionarySplit(const DictionarySplit& split,
                            const std::filesystem::path& folder);

}  // namespace tandem

#endif  // TANDEM_MODEL_DICTIONARY_H_
