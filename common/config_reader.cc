#include "common/config_reader.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <set>
#include <string_view>

#include "common/config_scalar.h"
#include "common/files.h"
#include "common/nearest_name.h"

namespace tandem {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Where values come from, for messages: a file with lines, or one override.
struct Source {
  std::string name;           // "server.yaml" or "--set a.b=c"
  std::string override_path;  // "a.b"; empty for a file

  bool is_override() const { return !override_path.empty(); }
  // "server.yaml:7: a.b: ..." or "--set a.b=c: ..."; an override names the
  // path only where it is not its own.
  Status Error(int line, const std::string& path,
               const std::string& what) const {
    std::string where = name;
    if (!is_override() && line > 0) where += fmt::format(":{}", line);
    if (!path.empty() && path != override_path) {
      where += fmt::format(": {}", path);
    }
    return InvalidArgument("{}: {}", where, what);
  }
};

int LineOf(const YAML::Node& node) {
  return node.Mark().is_null() ? 0 : node.Mark().line + 1;
}

std::string Describe(const YAML::Node& node) {
  if (node.IsMap()) return "a map";
  if (node.IsSequence()) return "a list";
  if (!node.IsScalar()) return "nothing";
  const bool quoted = node.Tag() == "!";
  return quoted ? fmt::format("the text '{}'", node.Scalar())
                : fmt::format("'{}'", node.Scalar());
}

std::string Join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

std::vector<std::string> FieldNames(const Message& message) {
  std::vector<std::string> names;
  names.reserve(message.GetDescriptor()->field_count());
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    names.push_back(message.GetDescriptor()->field(i)->name());
  }
  return names;
}

StatusOr<const FieldDescriptor*> FindField(const Source& source, int line,
                                           const Message& message,
                                           const std::string& name,
                                           const std::string& path) {
  const auto* field = message.GetDescriptor()->FindFieldByName(name);
  if (field != nullptr) return field;
  return source.Error(line, path,
                      "unknown field" + DidYouMean(name, FieldNames(message)));
}

Status SetField(const Source& source, const YAML::Node& node,
                const FieldDescriptor& field, const std::string& path,
                Message* message);

Status SetMessage(const Source& source, const YAML::Node& node,
                  const std::string& path, Message* message) {
  if (node.IsNull()) return OkStatus();
  if (!node.IsMap()) {
    return source.Error(LineOf(node), path,
                        "expected a map of fields, got " + Describe(node));
  }
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const int line = LineOf(entry.first);
    if (!entry.first.IsScalar()) {
      return source.Error(
          line, path, "expected a field name, got " + Describe(entry.first));
    }
    const std::string& name = entry.first.Scalar();
    const std::string field_path = Join(path, name);
    TANDEM_ASSIGN_OR_RETURN(
        const FieldDescriptor* field,
        FindField(source, line, *message, name, field_path));
    if (!seen.insert(name).second) {
      return source.Error(line, field_path, "given twice");
    }
    TANDEM_RETURN_IF_ERROR(
        SetField(source, entry.second, *field, field_path, message));
  }
  return OkStatus();
}

// Appends where the field is repeated.
Status SetScalar(const Source& source, const YAML::Node& node,
                 const FieldDescriptor& field, const std::string& path,
                 Message* message) {
  // "--set a.b=" gives the empty text; in a file it takes a pair of quotes.
  const bool empty = source.is_override() && node.IsNull() &&
                     field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  const bool scalar = node.IsScalar() || empty;
  const ConfigScalar value{.text = empty ? "" : node.Scalar(),
                           .quoted = node.Tag() == "!"};
  if (scalar && StoreScalar(value, field, message)) return OkStatus();
  std::string what = "expected " + ExpectedScalar(field);
  if (!source.is_override() || path != source.override_path) {
    what += ", got " + Describe(node);
  }
  return source.Error(LineOf(node), path,
                      what + NearestChoice(value.text, field));
}

Status SetList(const Source& source, const YAML::Node& node,
               const FieldDescriptor& field, const std::string& path,
               Message* message) {
  if (!node.IsSequence() && !node.IsNull()) {
    return source.Error(LineOf(node), path,
                        "expected a list, got " + Describe(node));
  }
  message->GetReflection()->ClearField(message, &field);
  for (size_t i = 0; i < node.size(); ++i) {
    const std::string item = Join(path, std::to_string(i));
    const bool is_message =
        field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    TANDEM_RETURN_IF_ERROR(
        is_message
            ? SetMessage(source, node[i], item,
                         message->GetReflection()->AddMessage(message, &field))
            : SetScalar(source, node[i], field, item, message));
  }
  return OkStatus();
}

Status SetField(const Source& source, const YAML::Node& node,
                const FieldDescriptor& field, const std::string& path,
                Message* message) {
  if (field.is_repeated()) {
    return SetList(source, node, field, path, message);
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return SetMessage(
        source, node, path,
        message->GetReflection()->MutableMessage(message, &field));
  }
  return SetScalar(source, node, field, path, message);
}

StatusOr<YAML::Node> ParseYaml(const Source& source, const std::string& yaml) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(yaml);
    if (documents.size() > 1) {
      return source.Error(LineOf(documents[1]), "",
                          "expected one YAML document, got several");
    }
    return documents.empty() ? YAML::Node() : documents[0];
  } catch (const YAML::Exception& e) {
    return source.Error(e.mark.is_null() ? 0 : e.mark.line + 1, "",
                        "not YAML: " + e.msg);
  }
}

std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> names;
  for (size_t dot; (dot = path.find('.')) != std::string_view::npos;) {
    names.emplace_back(path.substr(0, dot));
    path.remove_prefix(dot + 1);
  }
  names.emplace_back(path);
  return names;
}

// An index that exists, or the next one, which appends.
StatusOr<int> ParseIndex(const Source& source, const std::string& text,
                         int size, const std::string& path) {
  int index = -1;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, index);
  if (result.ec != std::errc() || result.ptr != end || index < 0 ||
      index > size) {
    return source.Error(
        0, path,
        fmt::format("expected an index between 0 and {}, got '{}'", size,
                    text));
  }
  return index;
}

// Puts the scalar at `index`, which ParseIndex has checked.
Status SetListItem(const Source& source, const YAML::Node& node,
                   const FieldDescriptor& field, int index,
                   const std::string& path, Message* message) {
  TANDEM_RETURN_IF_ERROR(SetScalar(source, node, field, path, message));
  const auto* reflection = message->GetReflection();
  const int last = reflection->FieldSize(*message, &field) - 1;
  if (index == last) return OkStatus();
  reflection->SwapElements(message, &field, index, last);
  reflection->RemoveLast(message, &field);
  return OkStatus();
}

// Sets what names[next ...] lead to from `message`, which `path` led to.
Status SetByPath(const Source& source, const YAML::Node& node,
                 const std::vector<std::string>& names, size_t next,
                 const std::string& path, Message* message) {
  if (next == names.size()) return SetMessage(source, node, path, message);
  std::string field_path = Join(path, names[next]);
  TANDEM_ASSIGN_OR_RETURN(
      const FieldDescriptor* field,
      FindField(source, 0, *message, names[next], field_path));
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (++next == names.size()) {
    return SetField(source, node, *field, field_path, message);
  }
  const auto* reflection = message->GetReflection();
  if (field->is_repeated()) {
    const int size = reflection->FieldSize(*message, field);
    TANDEM_ASSIGN_OR_RETURN(const int index,
                            ParseIndex(source, names[next], size, field_path));
    field_path = Join(field_path, names[next++]);
    if (is_message) {
      return SetByPath(source, node, names, next, field_path,
                       index == size ? reflection->AddMessage(message, field)
                                     : reflection->MutableRepeatedMessage(
                                           message, field, index));
    }
    if (next == names.size()) {
      return SetListItem(source, node, *field, index, field_path, message);
    }
  } else if (is_message) {
    return SetByPath(source, node, names, next, field_path,
                     reflection->MutableMessage(message, field));
  }
  return source.Error(0, field_path, "has no fields of its own");
}

Status ApplyOverride(const std::string& text, Message* config) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return InvalidArgument("--set {}: expected FIELD=VALUE, as in a.b.c=1",
                           text);
  }
  const Source source{.name = "--set " + text,
                      .override_path = text.substr(0, equals)};
  TANDEM_ASSIGN_OR_RETURN(const YAML::Node node,
                          ParseYaml(source, text.substr(equals + 1)));
  return SetByPath(source, node, SplitPath(source.override_path), 0, "",
                   config);
}

// Of this message and of those in it that are set.
Status CheckRequired(const std::string& name, const std::string& path,
                     const Message& message) {
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const std::string field_path = Join(path, field->name());
    const bool is_message =
        field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    const int size = field->is_repeated()
                         ? reflection->FieldSize(message, field)
                         : reflection->HasField(message, field);
    const bool empty_text =
        size > 0 && !field->is_repeated() &&
        field->cpp_type() == FieldDescriptor::CPPTYPE_STRING &&
        reflection->GetString(message, field).empty();
    if (IsRequired(*field) && (size == 0 || empty_text)) {
      return InvalidArgument("{}: {}: missing, expected {}", name, field_path,
                             is_message ? "a map" : ExpectedScalar(*field));
    }
    for (int k = 0; is_message && k < size; ++k) {
      const bool in_list = field->is_repeated();
      TANDEM_RETURN_IF_ERROR(CheckRequired(
          name, in_list ? Join(field_path, std::to_string(k)) : field_path,
          in_list ? reflection->GetRepeatedMessage(message, field, k)
                  : reflection->GetMessage(message, field)));
    }
  }
  return OkStatus();
}

}  // namespace

Status ReadConfig(const std::filesystem::path& path,
                  const std::vector<std::string>& overrides, Message* config) {
  TANDEM_ASSIGN_OR_RETURN(const std::string yaml, ReadFile(path));
  return ParseConfig(yaml, path.string(), overrides, config);
}

Status ParseConfig(const std::string& yaml, const std::string& name,
                   const std::vector<std::string>& overrides, Message* config) {
  const Source source{.name = name, .override_path = ""};
  TANDEM_ASSIGN_OR_RETURN(const YAML::Node root, ParseYaml(source, yaml));
  TANDEM_RETURN_IF_ERROR(SetMessage(source, root, "", config));
  for (const std::string& text : overrides) {
    TANDEM_RETURN_IF_ERROR(ApplyOverride(text, config));
  }
  return CheckRequired(name, "", *config);
}

}  // namespace tandem
