// `skerry run`: one program on a stack of its own. The program is our descendant, in our process group and on
// our terminal; the supervisor only brings it its stack. Read first: supervisor/control_protocol.hpp,
// RunRequest.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "ctl/command.hpp"
#include "ctl/compile.hpp"
#include "ctl/running.hpp"
#include "ctl/start_supervisor.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/attach.hpp"
#include "supervisor/composition.hpp"
#include "supervisor/name_server.hpp"
#include "supervisor/sandbox.hpp"

namespace skerry::ctl {

namespace {

struct RunOptions {
  std::string net{supervisor::kDefaultNetwork};  // COMPOSITION or COMPOSITION/NETWORK
  std::string name;
  std::string address;  // a.b.c.d or a.b.c.d/bits
  std::string uplink;
  std::optional<unsigned> core;
  std::string filter;
  std::vector<std::string> shares;
  std::vector<std::string> publish;
  std::vector<std::string> allow;
  std::string resolver;
  bool strict = false;
  std::vector<std::string> argv;
};

Outcome refused(std::string sentence, int status = kRunFailed) {
  return {status, std::move(sentence)};
}

struct Question {
  std::string composition;
  supervisor::RunRequest request;
  std::optional<supervisor::Subnet> subnet;  // of a network that is still to be made
  Fd rules;                                  // compiled, if the request has a filter or an allow-list
};

// The options as values. The error is a sentence.
Result<Question> read_options(const RunOptions& options) {
  Question question;
  supervisor::RunRequest& request = question.request;
  const size_t slash = options.net.find('/');
  question.composition = options.net.substr(0, slash);
  if (slash != std::string::npos) request.network = options.net.substr(slash + 1);
  request.name = options.name;
  request.core = options.core;
  request.strict = options.strict;
  request.argv = options.argv;
  if (!options.address.empty()) {
    request.address = parse_ipv4(options.address);
    if (const auto prefix = parse_ipv4_prefix(options.address);
        prefix && prefix->bits >= 8 && prefix->bits <= 29) {
      request.address = prefix->address;
      const supervisor::Subnet whole{0, prefix->bits};
      question.subnet = {{prefix->address & whole.mask(), prefix->bits}};
    }
    if (!request.address) {
      return Error{fmt::format("\"{}\" is no IPv4 address: write --address 10.77.0.2 or 10.77.0.2/16",
                               options.address)};
    }
  }
  if (!options.uplink.empty()) {
    const Result<supervisor::UplinkName> uplink = supervisor::parse_uplink(options.uplink);
    if (!uplink) return uplink.error();
    request.uplink = *uplink;
  }
  for (const std::string& text : options.publish) {
    const Result<supervisor::Publish> publish = supervisor::parse_publish(text);
    if (!publish) return publish.error();
    request.publish.push_back(*publish);
  }
  for (const std::string& text : options.allow) {
    const Result<supervisor::Allow> allow = supervisor::parse_allow(text);
    if (!allow) return allow.error();
    request.allow.push_back(*allow);
  }
  if (!options.resolver.empty()) {
    const Result<std::string> server = supervisor::parse_name_server(options.resolver);
    if (!server) return server.error();
    if (request.allow.empty()) return Error{"--resolver is asked for names that --allow lists: list one"};
    request.name_servers.push_back(*server);
  }
  // Who publishes has said what he needs.
  if (!request.publish.empty() && !request.uplink) request.uplink = supervisor::Uplink::user;
  std::error_code error;
  request.working_directory = std::filesystem::current_path(error).string();
  for (const std::string& path : options.shares) {
    request.shares.push_back(std::filesystem::absolute(path, error).lexically_normal().string());
  }
  return question;
}

bool is_absent(const Error& error) {
  return error.system_error == ENOENT || error.system_error == ECONNREFUSED;
}

// A connection to the supervisor of the network, which is started if it is not there.
Result<supervisor::ControlClient> connect_or_start(const Question& question,
                                                   const supervisor::Machine& machine) {
  Result<supervisor::ControlClient> client = connect(question.composition);
  if (client || !is_absent(client.error())) return client;
  const supervisor::UplinkName uplink = question.request.uplink.value_or(supervisor::default_uplink(machine));
  const Result<supervisor::Plan> plan =
      supervisor::default_plan(question.composition, uplink, question.subnet, question.request.core, machine);
  if (!plan) return plan.error();
  if (!question.request.network.empty() && question.request.network != plan->name) {
    return Error{fmt::format("\"{}\" is not running: start it with `skerry up`", question.composition)};
  }
  const Result<Child> started = start_supervisor(*plan, Place::background);
  if (!started) return started.error();
  client = connect(question.composition);
  if (!client && is_absent(client.error())) return Error{client.error().message, EPIPE};  // it came and went
  return client;
}

struct Admission {
  supervisor::ControlClient client;  // the program lives as long as this is open
  supervisor::RunReply reply;
  std::vector<Fd> descriptors;
};

Result<Admission> ask_admission_once(const Question& question, const supervisor::Machine& machine) {
  Result<supervisor::ControlClient> client = connect_or_start(question, machine);
  if (!client) return client.error();
  supervisor::Request request{.command = supervisor::Command::run, .run = question.request};
  std::vector<int> fds;
  if (question.rules) fds.push_back(question.rules.get());
  Result<supervisor::ControlLine> line = client->call(supervisor::format_request(request), fds);
  if (!line) return line.error();
  const Result<nlohmann::json> answer = supervisor::parse_reply(line->line);
  if (!answer) return answer.error();
  Result<supervisor::RunReply> reply = supervisor::parse_run_reply(*answer);
  if (!reply) return reply.error();
  if (reply->fds.size() != line->descriptors.size())
    return Error{"the supervisor sent other descriptors than it said"};
  return Admission{std::move(*client), std::move(*reply), std::move(line->descriptors)};
}

// Another command may be starting the network at this moment, or its supervisor may be leaving with its last
// program: for a while the name is taken, but nobody serves it.
Result<Admission> ask_admission(const Question& question, const supervisor::Machine& machine) {
  constexpr int kPatience = 100, kPauseUs = 50'000;
  for (int attempt = 0;; ++attempt) {
    Result<Admission> admission = ask_admission_once(question, machine);
    if (admission || attempt == kPatience) return admission;
    const int number = admission.error().system_error;
    if (number != EPIPE && number != EADDRINUSE) return admission;
    ::usleep(kPauseUs);
  }
}

// In the program's place: runs it to its end.
Outcome run_admitted(Admission& admission, const std::string& composition) {
  ChildSpec spec{.executable = admission.reply.executable,
                 .argv = {"skerry-cell", admission.reply.name},
                 .signal_on_our_end = SIGKILL};
  for (size_t i = 0; i < admission.descriptors.size(); ++i) {
    spec.fds.push_back({admission.descriptors[i].get(), admission.reply.fds[i]});
  }
  Result<Child> child = Child::start(spec);
  if (!child) return refused(child.error().message);
  admission.descriptors.clear();
  bool abandoned = false;
  const int status = child->wait(admission.client.fd(), [&] {
    if (!admission.client.wait_closed(0)) return false;
    // The cell ends its program then and says so; only one that does not is ended from here.
    abandoned = !child->wait_for(2000);
    if (abandoned) child->kill(SIGKILL);
    return true;
  });
  if (!abandoned) return {status, ""};
  return refused(
      fmt::format("the network \"{}\" has ended, and with it {}", composition, admission.reply.name));
}

Outcome run(const RunOptions& options) {
  if (const Result<void> kernel = supervisor::check_kernel(); !kernel) return refused(kernel.error().message);
  if (options.argv.empty()) return refused("say what to run: skerry run -- redis-server");
  Result<Question> question = read_options(options);
  if (!question) return refused(question.error().message);
  const supervisor::Machine machine = supervisor::this_machine();
  const std::string& program = options.argv.front();
  const supervisor::ProgramFile file = machine.find_program(program, question->request.working_directory);
  if (file.path.empty()) {
    return refused(fmt::format("there is no program \"{}\": install it, or write its path", program),
                   kRunNotFound);
  }
  if (!file.executable) {
    return refused(fmt::format("{} is not executable: chmod +x it, or run another", file.path),
                   kRunNotExecutable);
  }
  question->request.executable = file.path;
  if (!options.filter.empty() || !options.allow.empty()) {
    const supervisor::Program listed{.publish = question->request.publish, .allow = question->request.allow};
    Result<CompiledRules> rules = compile_first_rules(options.filter, allow_rules(listed));
    if (!rules) return refused(rules.error().message);
    if (!options.filter.empty()) question->request.filter = absolute_name(options.filter);
    question->request.filter_lines = std::move(rules->lines);
    question->rules = std::move(rules->batch);
  }
  Result<Admission> admission = ask_admission(*question, machine);
  if (!admission) return refused(admission.error().message);
  return run_admitted(*admission, question->composition);
}

}  // namespace

void add_run(CLI::App& app, Outcome& outcome, std::vector<std::string> program) {
  CLI::App* command = app.add_subcommand(
      "run", "Run a program on a network stack of its own: skerry run [OPTIONS] -- PROGRAM [ARGUMENTS]");
  auto options = std::make_shared<RunOptions>();
  command
      ->add_option("--net", options->net, "network to join, or NAME/NETWORK of a composition; made if absent")
      ->capture_default_str();
  command->add_option("--name", options->name, "the program's name there (default: from its file)");
  command->add_option("--address", options->address,
                      "its IPv4 address, as 10.77.0.2 or 10.77.0.2/16 (default: a free one)");
  command->add_option(
      "--uplink", options->uplink,
      "what joins the network to the world: user (through passt), tap or afxdp:INTERFACE (both need root), "
      "or none\n(default: none; without root user, if passt is installed)");
  command
      ->add_option("-p,--publish", options->publish,
                   "port of the host that leads to one of the program: [ADDRESS:]PORT:PORT[/udp] (means "
                   "--uplink user)")
      ->allow_extra_args(false);
  command->add_option("--core", options->core,
                      "core for the program and its stack (default: the least used)");
  command
      ->add_option("--share", options->shares,
                   "file or directory of the host that it may see, a Unix socket too")
      ->allow_extra_args(false);
  command
      ->add_option("--filter", options->filter,
                   "file of nftables rules that its stack has from its first packet on (docs/filter.md)")
      ->check([](const std::string& file) {
        // Of a variable that is not set; the program would run without rules.
        return file.empty() ? "--filter names no file: write its path, or leave --filter out" : "";
      });
  command->add_flag(
      "--strict", options->strict,
      "stop it, with the stack of the call, where it asks the kernel for a socket of the Internet\n"
      "past Skerry, instead of giving it one that reaches nobody; it can start no static program then");
  command
      ->add_option(
          "--allow", options->allow,
          "whom alone it may speak to: NAME:PORT[/udp] or ADDRESS:PORT[/udp], again for each; :PORT[/udp]\n"
          "lets others connect to it (docs/filter.md)")
      ->allow_extra_args(false);
  command->add_option("--resolver", options->resolver,
                      "name server that is asked for those names (default: those of the host)");
  command->footer(
      "Ends with the program's status; 125 if Skerry failed, 126 and 127 if the program cannot be executed "
      "or\n"
      "found, 128 + n after signal n.\n"
      "Example: skerry run --address 10.77.0.2 -- redis-server --save ''\n"
      "Example: skerry run -p 8080:8000 -- python3 -m http.server 8000\n"
      "Example: skerry run --allow deb.debian.org:80 -- curl http://deb.debian.org/");
  options->argv = std::move(program);
  command->callback([&outcome, options] { outcome = run(*options); });
}

std::vector<std::string> split_program(std::vector<std::string>& arguments) {
  size_t at = 1;  // after "run"
  while (at < arguments.size() && arguments[at] != "--" && arguments[at].starts_with('-')) {
    const std::string& option = arguments[at];
    const bool alone = option == "--help" || option == "-h" || option == "--strict" ||
                       option.find('=') != std::string::npos ||
                       (option.size() > 2 && option[1] != '-');  // -p8080:80
    at += alone ? 1 : 2;
  }
  at = std::min(at, arguments.size());
  std::vector<std::string> program(arguments.begin() + static_cast<ptrdiff_t>(at), arguments.end());
  arguments.resize(at);
  if (!program.empty() && program.front() == "--") program.erase(program.begin());
  return program;
}

}  // namespace skerry::ctl
