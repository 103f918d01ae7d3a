// YAML files read into protobuf messages by reflection, with errors a person
// can act on.
#ifndef TANDEM_COMMON_CONFIG_READER_H_
#define TANDEM_COMMON_CONFIG_READER_H_

#include <google/protobuf/message.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/status.h"

namespace tandem {

// Reads `path` into `config`, then applies `overrides`, each "a.b.c=value" with
// the value in YAML. Field options of proto/config.proto (min, max, one_of,
// required) are looked up by name, so that this file needs no generated code.
// InvalidArgument carries file, line, field path, what was expected and the
// nearest known name:
//   server.yaml:7: rounds.cuont: unknown field, did you mean 'count'?
//   --set rounds.count=many: expected an integer between 1 and 1000000
// NotFound where the file does not exist. After an error, `config` is
// unspecified.
//
// Fields that neither the file nor an override names keep their value. An empty
// value where a map is expected is an empty message. An override of a list
// replaces it, one of a message changes the fields it names; "data.0.name=x"
// reaches into a list, and the index one past the end appends.
//
// Required fields are checked last: those of `config` itself and of every
// message in it that is set. A message that is not set is not looked into, so
// whoever cannot do without `model.student` checks that `model` is there.
Status ReadConfig(const std::filesystem::path& path,
                  const std::vector<std::string>& overrides,
                  google::protobuf::Message* config);

// The same from text; `name` stands in for the file in messages.
Status ParseConfig(const std::string& yaml, const std::string& name,
                   const std::vector<std::string>& overrides,
                   google::protobuf::Message* config);

}  // namespace tandem

#endif  // TANDEM_COMMON_CONFIG_READER_H_
