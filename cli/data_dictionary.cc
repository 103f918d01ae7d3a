// tandem data dictionary
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "model/dictionary.h"

namespace tandem::cli {
namespace {

struct DataDictionaryFlags {
  std::string input;
  std::vector<std::string> names;
  std::string out;
  DictionaryOptions options;
  bool json = false;
};

Json Describe(const DictionarySplit& split) {
  return {{"name", split.name},
          {"entries", split.entries},
          {"train", split.train.size()},
          {"held_out", split.held_out.size()},
          {"dropped_short", split.dropped_short},
          {"dropped_shared", split.dropped_shared},
          {"dropped_duplicate", split.dropped_duplicate}};
}

void Print(const std::vector<DictionarySplit>& splits,
           const DataDictionaryFlags& flags) {
  Json descriptions = Json::array();
  for (const DictionarySplit& split : splits) {
    descriptions.push_back(Describe(split));
    if (flags.json) continue;
    PrintLine(fmt::format(
        "{}/{}.{{train,heldout}}.jsonl: {} train, {} held out, of {} entries "
        "(dropped: {} short, {} in another dictionary, {} repeated)",
        flags.out, split.name, split.train.size(), split.held_out.size(),
        split.entries, split.dropped_short, split.dropped_shared,
        split.dropped_duplicate));
  }
  if (flags.json) PrintJson(descriptions);
}

Status DataDictionaryMain(const DataDictionaryFlags& flags) {
  std::vector<DictionaryFiles> files;
  files.reserve(flags.names.size());
  for (const std::string& name : flags.names) {
    files.push_back(DictionaryIn(flags.input, name));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<DictionarySplit> splits,
                          SplitDictionaries(files, flags.options));
  for (const DictionarySplit& split : splits) {
    TANDEM_RETURN_IF_ERROR(WriteDictionarySplit(split, flags.out));
  }
  Print(splits, flags);
  return OkStatus();
}

}  // namespace

void AddDataDictionary(CLI::App& data, Chosen& chosen) {
  auto flags = std::make_shared<DataDictionaryFlags>();
  CLI::App* command = AddCommand(
      data, "dictionary",
      "Turn dictd dictionaries into JSONL: NAME.train.jsonl and "
      "NAME.heldout.jsonl, split by a hash of the headword, without what "
      "occurs in more than one of them",
      "tandem data dictionary --input data/dict --name jargon --name foldoc "
      "--name wn --out data/quickstart",
      chosen, [flags] { return DataDictionaryMain(*flags); });
  command
      ->add_option("--input", flags->input,
                   "Folder with NAME.index and NAME.dict.dz")
      ->required();
  command
      ->add_option("--name", flags->names,
                   "A dictionary; give it once for each")
      ->required()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--out", flags->out, "Folder to write")->required();
  command
      ->add_option("--held-out-share", flags->options.held_out_share,
                   "Of the headwords")
      ->check(NumberWithin(0, 1))
      ->capture_default_str();
  command
      ->add_option("--min-definition-bytes",
                   flags->options.min_definition_bytes,
                   "Shorter definitions are dropped")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
