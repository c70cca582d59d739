// Questions about the rules of a stack or vswitch, and new ones for it.
#include <fmt/format.h>

#include "supervisor/mistakes.hpp"
#include "supervisor/service.hpp"

namespace skerry::supervisor {

using nlohmann::json;

namespace {

// Where in its text a rule stands: what the process does not know, because it has the compiled rules alone. A
// row names its rule by "index".
void add_lines(json& rows, const std::optional<Supervisor::RulesText>& text) {
  if (!text || !rows.is_array()) return;
  for (json& row : rows) {
    const json index = row.is_object() ? row.value("index", json()) : json();
    if (!index.is_number_unsigned() || index.get<uint64_t>() >= text->lines->size()) continue;
    const uint32_t line = (*text->lines)[index.get<size_t>()];
    if (line == 0) continue;  // of the allow-list
    row["file"] = *text->file;
    row["line"] = line;
  }
}

}  // namespace

struct Service::RuleRows {
  uint64_t connection;
  std::string process;
  json rows = json::array();
  size_t messages = 0;
};

void Service::list_rules(uint64_t connection, const std::string& process) {
  ask_for_rules(std::make_shared<RuleRows>(RuleRows{.connection = connection, .process = process}));
}

// As many rows are told as fit into one message, and whether there are more. It is not believed without
// bounds: of rows, which may be tiny, and of messages, whose rows may be large.
void Service::ask_for_rules(const std::shared_ptr<RuleRows>& gathered) {
  constexpr size_t kMostRows = 1 << 18;
  if (!connections_.contains(gathered->connection)) return;  // who asked has gone
  supervisor_.ask_filter(
      gathered->process, {{"command", "rules"}, {"first", gathered->rows.size()}},
      [this, gathered](const Result<ControlMessage>& reply) {
        if (!reply) return send(gathered->connection, refusal(reply.error().message));
        const json rows = reply->body.value("rows", json());
        size_t count = 0;
        for (const json& row : rows.is_array() ? rows : json::array()) {
          if (!row.is_object()) continue;
          gathered->rows.push_back(row);
          ++count;
        }
        const json more = reply->body.value("more", json(false));
        if (more == true && count > 0 && gathered->rows.size() < kMostRows &&
            ++gathered->messages < kMostMessages)
          return ask_for_rules(gathered);
        const auto text = supervisor_.rules_text(gathered->process);
        add_lines(gathered->rows, text);
        send(gathered->connection,
             {{"ok", true}, {"filter", text ? *text->file : ""}, {"rows", std::move(gathered->rows)}});
      });
}

// One message there and one back, and the asker comes back for more.
void Service::ask_filter(uint64_t connection, const Request& request, const std::vector<Fd>& descriptors) {
  if (descriptors.size() > 1) return send(connection, refusal("one descriptor goes with a question"));
  const int fd = descriptors.empty() ? -1 : descriptors.front().get();
  supervisor_.ask_filter(
      request.whose_rules(), request.question,
      [this, connection, process = request.whose_rules()](const Result<ControlMessage>& reply) {
        if (!reply) return send(connection, refusal(reply.error().message));
        json body = reply->body;
        if (body.contains("rows")) add_lines(body["rows"], supervisor_.rules_text(process));
        send(connection, body);
      },
      std::span(&fd, descriptors.size()));
}

void Service::load_rules(uint64_t connection, const Request& request, std::vector<Fd> descriptors) {
  if (descriptors.size() != 1) return send(connection, refusal("load_rules needs the rules"));
  supervisor_.load_rules(request, std::move(descriptors.front()),
                         [this, connection](const Result<void>& done) {
                           send(connection, done ? json{{"ok", true}} : refusal(done.error().message));
                         });
}

}  // namespace skerry::supervisor
