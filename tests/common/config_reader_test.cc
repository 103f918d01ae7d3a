#include "common/config_reader.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>

#include <fstream>

#include "common/nearest_name.h"
#include "proto/config.pb.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using ::google::protobuf::FieldDescriptorProto;
using ::google::protobuf::Message;
using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StrEq;

Status Parse(const std::string& yaml, Message& config,
             const std::vector<std::string>& overrides = {}) {
  return ParseConfig(yaml, "server.yaml", overrides, &config);
}

// The message that a ServerConfig of this text gets.
std::string ErrorOf(const std::string& yaml,
                    const std::vector<std::string>& overrides = {}) {
  proto::ServerConfig config;
  const Status status = Parse(yaml, config, overrides);
  EXPECT_THAT(status, StatusIs(StatusCode::kInvalidArgument));
  return std::string(status.message());
}

TEST(ConfigReader, ReadsScalarsMessagesAndLists) {
  proto::ServerConfig config;
  ASSERT_THAT(Parse(R"(
run: {name: demo, seed: 18446744073709551615}
model:
  student: m.gguf
rounds: {count: 5, sampling_rate: 2.5e-1}
lora:
  target_modules: [q_proj, "v_proj"]
privacy: {enabled: true, delta: 1e-6}
limits: {max_object_bytes: 9223372036854775807}
evaluation:
  data:
    - {name: a, file: a.jsonl}
    - name: b
      file: 12
)",
                    config),
              IsOk());
  EXPECT_EQ(config.run().name(), "demo");
  EXPECT_EQ(config.run().seed(), UINT64_MAX);
  EXPECT_EQ(config.rounds().count(), 5);
  EXPECT_EQ(config.rounds().sampling_rate(), 0.25);
  EXPECT_THAT(config.lora().target_modules(), ElementsAre("q_proj", "v_proj"));
  EXPECT_TRUE(config.privacy().enabled());
  EXPECT_EQ(config.privacy().delta(), 1e-6);
  EXPECT_EQ(config.limits().max_object_bytes(), INT64_MAX);
  ASSERT_EQ(config.evaluation().data_size(), 2);
  EXPECT_EQ(config.evaluation().data(1).name(), "b");
  EXPECT_EQ(config.evaluation().data(1).file(), "12");
  EXPECT_FALSE(config.has_listen());
  EXPECT_EQ(config.rounds().min_clients(), 2) << "defaults stay";
}

TEST(ConfigReader, EmptyFileAndEmptyMapsAreEmptyMessages) {
  proto::ServerConfig config;
  EXPECT_THAT(Parse("", config), IsOk());
  EXPECT_THAT(Parse("# nothing yet\n", config), IsOk());
  EXPECT_THAT(Parse("rounds:\nlora: {}\n", config), IsOk());
  EXPECT_TRUE(config.has_rounds());
  EXPECT_TRUE(config.has_lora());
}

TEST(ConfigReader, UnknownFieldNamesFileLinePathAndNearest) {
  EXPECT_THAT(ErrorOf("run:\n  name: x\n\n\n\nrounds:\n  cuont: 3\n"),
              StrEq("server.yaml:7: rounds.cuont: unknown field, did you mean "
                    "'count'?"));
  EXPECT_THAT(ErrorOf("ronuds: {}"),
              StrEq("server.yaml:1: ronuds: unknown field, did you mean "
                    "'rounds'?"));
  EXPECT_THAT(ErrorOf("log:\n  zzzzzzzz: 1"),
              StrEq("server.yaml:2: log.zzzzzzzz: unknown field, expected one "
                    "of: level, file"));
}

TEST(ConfigReader, WrongValuesNameTheRangeAndTheValue) {
  const std::string count =
      "server.yaml:2: rounds.count: expected an integer between 1 and 1000000, "
      "got ";
  EXPECT_EQ(ErrorOf("rounds:\n  count: 0"), count + "'0'");
  EXPECT_EQ(ErrorOf("rounds:\n  count: 1000001"), count + "'1000001'");
  EXPECT_EQ(ErrorOf("rounds:\n  count: 1.5"), count + "'1.5'");
  EXPECT_EQ(ErrorOf("rounds:\n  count: 1e3"), count + "'1e3'");
  EXPECT_EQ(ErrorOf("rounds:\n  count: 99999999999"), count + "'99999999999'");
  EXPECT_EQ(ErrorOf("rounds:\n  count: \"3\""), count + "the text '3'");
  EXPECT_EQ(ErrorOf("rounds:\n  count: [3]"), count + "a list");
  EXPECT_EQ(ErrorOf("rounds:\n  count: {a: 3}"), count + "a map");
  EXPECT_EQ(ErrorOf("rounds:\n  count:"), count + "nothing");
  EXPECT_THAT(ErrorOf("rounds: {sampling_rate: 1.01}"),
              HasSubstr("expected a number between 0 and 1, got '1.01'"));
  for (const std::string bad : {".nan", "nan", ".inf", "inf", "-1e999", "x"}) {
    EXPECT_THAT(ErrorOf("rounds: {deadline_seconds: " + bad + "}"),
                HasSubstr("expected a number between 0.001 and 10000000"))
        << bad;
  }
  EXPECT_THAT(ErrorOf("limits: {max_object_bytes: 9223372036854775808}"),
              HasSubstr("between 1 and 9223372036854775807"));
  EXPECT_THAT(ErrorOf("run: {seed: -1}"),
              HasSubstr("an integer between 0 and 18446744073709551615"));
}

TEST(ConfigReader, BooleansAreTrueOrFalse) {
  proto::ServerConfig config;
  EXPECT_THAT(Parse("privacy: {enabled: false}", config), IsOk());
  EXPECT_FALSE(config.privacy().enabled());
  for (const std::string bad : {"yes", "on", "1", "True", "\"true\"", "~"}) {
    EXPECT_THAT(ErrorOf("privacy: {enabled: " + bad + "}"),
                HasSubstr("privacy.enabled: expected true or false, got "))
        << bad;
  }
}

TEST(ConfigReader, ChoicesAreListed) {
  EXPECT_EQ(ErrorOf("rounds: {selector: poison}"),
            "server.yaml:1: rounds.selector: expected one of: fixed, poisson, "
            "got 'poison', did you mean 'poisson'?");
  EXPECT_EQ(ErrorOf("rounds: {selector: x}"),
            "server.yaml:1: rounds.selector: expected one of: fixed, poisson, "
            "got 'x'");
}

TEST(ConfigReader, WrongShapes) {
  EXPECT_EQ(ErrorOf("- a\n- b"),
            "server.yaml:1: expected a map of fields, got a list");
  EXPECT_EQ(ErrorOf("rounds: 3"),
            "server.yaml:1: rounds: expected a map of fields, got '3'");
  EXPECT_EQ(ErrorOf("lora: {target_modules: q_proj}"),
            "server.yaml:1: lora.target_modules: expected a list, got "
            "'q_proj'");
  EXPECT_EQ(ErrorOf("lora:\n  target_modules:\n    - q_proj\n    - [a]"),
            "server.yaml:4: lora.target_modules.1: expected text, got a list");
  EXPECT_EQ(ErrorOf("evaluation:\n  data:\n    - name: a\n      fil: b"),
            "server.yaml:4: evaluation.data.0.fil: unknown field, did you mean "
            "'file'?");
  EXPECT_EQ(ErrorOf("? [a]\n: 3"),
            "server.yaml:1: expected a field name, got a list");
}

TEST(ConfigReader, DuplicateKeysAreAnError) {
  EXPECT_EQ(ErrorOf("rounds:\n  count: 3\n  count: 4"),
            "server.yaml:3: rounds.count: given twice");
  EXPECT_EQ(ErrorOf("rounds: {}\nlora: {}\nrounds: {}"),
            "server.yaml:3: rounds: given twice");
}

TEST(ConfigReader, SyntaxErrorsGiveFileAndLine) {
  EXPECT_THAT(ErrorOf("run: {}\nrounds: [1, 2\n"),
              ::testing::MatchesRegex("server.yaml:[23]: not YAML: .*"));
  EXPECT_THAT(ErrorOf("run:\n\tname: x"), HasSubstr("server.yaml:2: not YAML"));
  EXPECT_THAT(ErrorOf("run: {}\n---\nrun: {}"),
              HasSubstr("expected one YAML document"));
}

TEST(ConfigReader, HostileYamlIsRefusedInBoundedTime) {
  EXPECT_THAT(ErrorOf(std::string(100000, '[')), HasSubstr("server.yaml"));
  EXPECT_THAT(ErrorOf(std::string(100000, '{')), HasSubstr("server.yaml"));
  std::string laughs = "a: &a [x, x]\n";
  for (char c = 'b'; c < 'z'; ++c) {
    const std::string previous = std::string("*") + static_cast<char>(c - 1);
    laughs += std::string(1, c) + ": &" + c + " [" + previous + ", " +
              previous + "]\n";
  }
  EXPECT_THAT(ErrorOf(laughs), HasSubstr("unknown field"));
  EXPECT_THAT(ErrorOf("run: &r {name: *r}"), HasSubstr("server.yaml:1"));
}

TEST(ConfigReader, RequiredFieldsOfSetMessagesAreDemanded) {
  EXPECT_EQ(ErrorOf("model: {teacher: t.gguf}"),
            "server.yaml: model.student: missing, expected text");
  EXPECT_EQ(ErrorOf("model: {student: ''}"),
            "server.yaml: model.student: missing, expected text");
  EXPECT_EQ(ErrorOf("evaluation: {data: [{name: a, file: f}, {name: b}]}"),
            "server.yaml: evaluation.data.1.file: missing, expected text");
  proto::ServerConfig server;
  EXPECT_THAT(Parse("run: {}", server), IsOk()) << "model is not set";
  proto::ClientConfig client;
  EXPECT_THAT(Parse("client_id: a", client),
              StatusIs(StatusCode::kInvalidArgument,
                       StrEq("server.yaml: model: missing, expected text")));
}

TEST(ConfigReader, RequiredFieldsMayComeFromOverrides) {
  proto::ClientConfig client;
  EXPECT_THAT(Parse("client_id: a", client, {"model=m.gguf"}), IsOk());
  EXPECT_EQ(client.model(), "m.gguf");
}

TEST(ConfigReader, OverridesApplyInOrder) {
  proto::ServerConfig config;
  ASSERT_THAT(
      Parse("rounds: {count: 3, quorum: 2}\nevaluation: {data: [{name: a, "
            "file: f}]}\nlora: {target_modules: [q_proj, k_proj]}",
            config,
            {"rounds.count=7", "rounds.count=8", "privacy.enabled=true",
             "rounds={min_clients: 4}", "evaluation.data.0.name=z",
             "evaluation.data.1.name=n", "evaluation.data.1.file=g=h",
             "lora.target_modules.0=v_proj",
             "run.name=", "listen.address=127.0.0.1:0"}),
      IsOk());
  EXPECT_EQ(config.rounds().count(), 8);
  EXPECT_EQ(config.rounds().quorum(), 2);
  EXPECT_EQ(config.rounds().min_clients(), 4);
  EXPECT_TRUE(config.privacy().enabled());
  ASSERT_EQ(config.evaluation().data_size(), 2);
  EXPECT_EQ(config.evaluation().data(0).name(), "z");
  EXPECT_EQ(config.evaluation().data(0).file(), "f");
  EXPECT_EQ(config.evaluation().data(1).file(), "g=h");
  EXPECT_THAT(config.lora().target_modules(), ElementsAre("v_proj", "k_proj"));
  EXPECT_TRUE(config.run().has_name());
  EXPECT_EQ(config.run().name(), "");
  EXPECT_EQ(config.listen().address(), "127.0.0.1:0");
}

TEST(ConfigReader, OverridesReplaceListsAndAppend) {
  proto::ServerConfig config;
  ASSERT_THAT(Parse("lora: {target_modules: [q_proj]}", config,
                    {"lora.target_modules=[a, b]", "lora.target_modules.2=c"}),
              IsOk());
  EXPECT_THAT(config.lora().target_modules(), ElementsAre("a", "b", "c"));
}

TEST(ConfigReader, OverrideErrorsNameTheOverride) {
  auto error = [](const std::string& text) {
    return ErrorOf("evaluation: {data: [{name: a, file: f}]}", {text});
  };
  EXPECT_EQ(error("rounds.count=many"),
            "--set rounds.count=many: expected an integer between 1 and "
            "1000000");
  EXPECT_EQ(error("rounds.count=1.5"),
            "--set rounds.count=1.5: expected an integer between 1 and "
            "1000000");
  EXPECT_EQ(error("rounds.cuont=1"),
            "--set rounds.cuont=1: unknown field, did you mean 'count'?");
  EXPECT_EQ(error("ronds.count=1"),
            "--set ronds.count=1: ronds: unknown field, did you mean "
            "'rounds'?");
  EXPECT_EQ(error("rounds={count: x}"),
            "--set rounds={count: x}: rounds.count: expected an integer "
            "between 1 and 1000000, got 'x'");
  EXPECT_EQ(error("rounds.count.x=1"),
            "--set rounds.count.x=1: rounds.count: has no fields of its own");
  EXPECT_EQ(error("evaluation.data.2.name=x"),
            "--set evaluation.data.2.name=x: evaluation.data: expected an "
            "index between 0 and 1, got '2'");
  EXPECT_THAT(error("evaluation.data.-1.name=x"), HasSubstr("got '-1'"));
  EXPECT_THAT(error("evaluation.data.99999999999.name=x"),
              HasSubstr("expected an index"));
  EXPECT_THAT(error("rounds.count"), HasSubstr("expected FIELD=VALUE"));
  EXPECT_THAT(error("=3"), HasSubstr("expected FIELD=VALUE"));
  EXPECT_THAT(error("rounds..count=3"), HasSubstr("unknown field"));
  EXPECT_THAT(error("rounds.count=[1"), HasSubstr("--set rounds.count=[1: not "
                                                  "YAML"));
}

TEST(ConfigReader, EnumsByName) {
  FieldDescriptorProto field;
  EXPECT_THAT(Parse("type: TYPE_STRING\nnumber: +7", field), IsOk());
  EXPECT_EQ(field.type(), FieldDescriptorProto::TYPE_STRING);
  EXPECT_EQ(field.number(), 7);
  EXPECT_THAT(Parse("label: LABEL_REPEATE", field),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("LABEL_OPTIONAL, LABEL_REQUIRED"),
                             HasSubstr("did you mean 'LABEL_REPEATED'?"))));
  EXPECT_THAT(Parse("number: 2147483648", field),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("between -2147483648 and 2147483647")));
}

TEST(ReadConfig, ReadsAFileAndNamesIt) {
  testing::TempFolder folder;
  const auto path = folder / "run.yaml";
  std::ofstream(path) << "rounds:\n  count: 9\n";
  proto::ServerConfig config;
  ASSERT_THAT(ReadConfig(path, {}, &config), IsOk());
  EXPECT_EQ(config.rounds().count(), 9);
  std::ofstream(path) << "rounds:\n  count: x\n";
  EXPECT_THAT(ReadConfig(path, {}, &config),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr(path.string() + ":2: rounds.count: ")));
  EXPECT_THAT(ReadConfig(folder / "none.yaml", {}, &config),
              StatusIs(StatusCode::kNotFound, HasSubstr("none.yaml")));
}

// Every default of the configuration must pass the checks of its own field, or
// writing a default down would be an error.
void ExpectDefaultsAreAccepted(const Message& prototype) {
  for (int i = 0; i < prototype.GetDescriptor()->field_count(); ++i) {
    const auto* field = prototype.GetDescriptor()->field(i);
    if (!field->has_default_value()) continue;
    std::unique_ptr<Message> message(prototype.New());
    std::string value;
    google::protobuf::TextFormat::PrintFieldValueToString(prototype, field, -1,
                                                          &value);
    const std::string assignment = field->name() + "=" + value;
    const Status status =
        ParseConfig("", "defaults", {assignment}, message.get());
    if (status.ok()) continue;
    EXPECT_THAT(ToString(status), HasSubstr("missing")) << assignment;
    EXPECT_THAT(ToString(status), Not(HasSubstr("--set"))) << assignment;
  }
}

TEST(ConfigReader, DefaultsAreInRange) {
  const auto* file = proto::ServerConfig::descriptor()->file();
  for (int i = 0; i < file->message_type_count(); ++i) {
    ExpectDefaultsAreAccepted(
        *google::protobuf::MessageFactory::generated_factory()->GetPrototype(
            file->message_type(i)));
  }
}

TEST(NearestName, EditDistance) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("abc", ""), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("cuont", "count"), 1) << "a swap";
  EXPECT_EQ(EditDistance("flaw", "lawn"), 2);
}

TEST(NearestName, SuggestsOnlyWhatIsNear) {
  EXPECT_EQ(DidYouMean("fedagv", {"ffa", "fedavg"}),
            ", did you mean 'fedavg'?");
  EXPECT_EQ(DidYouMean("x", {"ffa", "fedavg"}),
            ", expected one of: ffa, fedavg");
  EXPECT_EQ(DidYouMean("x", {}), "");
  EXPECT_EQ(DidYouMean(std::string(1 << 20, 'f'), {"ffa"}),
            ", expected one of: ffa");
}

}  // namespace
}  // namespace tandem
