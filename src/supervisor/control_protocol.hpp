// The supervisor's control protocol: one JSON request a line, one JSON reply a line, over a Unix stream
// socket. Here are the words and the bounded line reader, as pure text; control_socket.hpp has the sockets.
//
// Whoever may connect (same user, or root) may still send rubbish: every field is checked here, a line has a
// bound, and a peer that breaks it is disconnected. Requests:
//
//  {"command":"ps"}      reply {"ok":true,"name":"redis","processes":[{"name","kind","network","pid","state",
//                        "core","restarts","uptime_ms","cpu_ms","address"?}…]}; state: "running", "waiting"
//                        (for a restart), "ended", "failed"
//  {"command":"ss"}      reply {"ok":true,"sockets":[{"program","proto","state","local","peer","rx_queue",
//                        "tx_queue"}…]}, gathered from the stacks
//  {"command":"top"}     reply {"ok":true,"time_ns":…,"processes":[{"name","kind","core","cpu_ns",
//                        "counters":{NAME:u64…}}…]}: one sample; the asker subtracts two of them
//  {"command":"rights"}  reply {"ok":true,"rights":[…]}, rows as rights_to_json() writes them
//  {"command":"plan"}    reply {"ok":true,"plan":…} as plan_to_json() writes it
//  {"command":"down"}    reply {"ok":true}; then all ends, and the end of the connection says that nothing is
//                        left of it, so that the same may start again at once
//  {"command":"mirror","link":"lan.redis"}  reply {"ok":true} with the read end of a pipe. The supervisor
//                        passes its write end to the vswitch ({"command":"mirror","port":"redis"}), which
//                        writes a pcapng file of that port into it until the reader has gone
//  {"command":"rules","program":"redis"}  reply {"ok":true,"filter":"/etc/web.nft","rows":[…]}: what the
//                        stack of that program has loaded, rows as rules/rules.hpp writes them; here and in
//                        the next two, "switch":"lan" instead of a program means that network's vswitch
//  {"command":"load_rules","program":"redis","filter":"/etc/web.nft"}  with one descriptor, sealed memory
//                        that holds the compiled rules, and "filter_lines", as Program's; reply {"ok":true}
//                        once they are in force. After a refusal the old ones are
//  {"command":"filter","program":"redis","question":{"command":"elements",…}}  what the stack of that
//                        program is to say of its rules or to change in them, one of kFilterQuestions, and
//                        its answer, as rules/rules.hpp has them: the stack checks the one, the
//                        asker the other. One descriptor may go with it
//  {"command":"run",…}   RunRequest, with "filter" or "allow" its rules as above; reply RunReply
//  with descriptors. The program lives as long as the
//                        connection
//
// A refusal is {"ok":false,"error":"one sentence","code":125}; code is the exit status that it asks for.
//
// The supervisor itself is started as `skerry-supervisor NAME` with three descriptors: kEnvironmentFd, a
// memfd that holds plan_to_json(); kReadyFd, a pipe's write end into which it writes one line when all runs,
// {"ok":true}, or the refusal with which it then exits; and kClaimFd, the lock of a RuntimeClaim. SIGINT and
// SIGTERM mean `down`. A request to join a supervisor that is going down is answered by hanging up: the asker
// tries again, and starts the next one.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "supervisor/plan.hpp"

namespace skerry::supervisor {

inline constexpr size_t kMaxRequestBytes = 1 << 20;  // a long command line fits (its bound is ARG_MAX)
inline constexpr size_t kMaxReplyBytes = 64 << 20;   // `ss` of many full stacks fits
inline constexpr size_t kMaxDescriptors = 16;        // that may accompany one line

inline constexpr int kReadyFd = 4, kClaimFd = 5;
// And on from here the compiled rules of the plan, if it names a filter, of each network whose vswitch has
// some, and of each program that has some (has_rules()), in the plan's order.
inline constexpr int kFirstRulesFd = 6;

enum class Command { ps, ss, top, rights, plan, down, mirror, run, rules, load_rules, filter };

inline constexpr std::string_view kFilterQuestions[] = {"elements",    "change_elements", "reset",
                                                        "begin_trace", "trace",           "why"};

// What `skerry run` asks for.
struct RunRequest {
  std::string name;                    // empty: taken from the program, made unique
  std::string network;                 // empty: the only one of the plan
  std::vector<std::string> argv;       // at least one
  std::string executable;              // absolute
  std::string working_directory;       // absolute
  std::optional<Ipv4Address> address;  // absent: the lowest free one
  std::optional<unsigned> core;        // absent: by the placement rules
  std::optional<UplinkName> uplink;    // absent: whatever the network has
  std::vector<std::string> shares;     // absolute paths
  std::vector<Publish> publish;
  std::vector<Allow> allow;               // with one, or with a filter, compiled rules come with the request
  std::vector<std::string> name_servers;  // as parse_name_server() writes them; empty: the host's
  bool strict = false;
  std::string filter;                  // absolute path of the rules' text; or empty
  std::vector<uint32_t> filter_lines;  // as Program's
};

// What the caller needs to become the parent of the program: descriptors[i] came with the reply and belongs
// at number fds[i] of a child that executes `executable` with the arguments {"skerry-cell", name}.
struct RunReply {
  std::string name;
  std::string address;  // "10.77.0.2"
  std::string executable;
  std::vector<int> fds;
};

struct Request {
  Command command = Command::ps;
  std::string link;     // of mirror
  RunRequest run;       // of run
  std::string program;  // of rules, load_rules and filter: whose stack is meant,
  std::string network;  // or whose vswitch
  std::string filter;   // of load_rules, with
  std::vector<uint32_t> filter_lines = {};
  nlohmann::json question = nullptr;  // of filter: an object

  // Process::name of the one that has those rules.
  std::string whose_rules() const { return program.empty() ? network + ".vswitch" : program + ".stack"; }
};

// Errors say what is wrong with the line, for the peer to read.
Result<Request> parse_request(std::string_view line);
std::string format_request(const Request& request);  // with the newline

Result<RunReply> parse_run_reply(const nlohmann::json& reply);
nlohmann::json to_json(const RunReply& reply);

std::string format_reply(const nlohmann::json& reply);  // one line, with the newline
nlohmann::json refusal(std::string_view sentence, int code = 1);
// The reply if it says ok, else its error. Errors: also when it is no JSON object.
Result<nlohmann::json> parse_reply(std::string_view line);

// Cuts a byte stream into lines of at most `bound` bytes.
class LineReader {
 public:
  explicit LineReader(size_t bound) : bound_(bound) {}

  // False if the current line is over the bound: then the reader takes nothing more.
  bool append(std::string_view bytes);
  std::optional<std::string> next();

 private:
  size_t bound_;
  std::string pending_;
  size_t scanned_ = 0;  // bytes of pending_ known to hold no newline
};

}  // namespace skerry::supervisor
