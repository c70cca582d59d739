// Plan: a checked composition as plain values, and the only thing that the supervisor acts on. It says which
// objects (memory, pipes, sockets) exist, which processes run, and which descriptor of which object each
// process gets under which name. Whatever a plan does not grant, a process cannot touch.
//
// Read first: "memory and trust" in ARCHITECTURE.md. composition.hpp makes a plan from a file,
// default_plan() makes the one behind `skerry run`, rights.hpp prints it.
//
// Invariants (check_plan): names of programs, processes, objects and links are unique; every grant names an
// object of the plan; a region is granted to exactly two processes, anything else to one, except a link's
// pipes (write end to one side, read end to the other) and the pair between a stack and its resolver; the
// session's pipe belongs to the stack whole, because it passes the write end on to its program.
//
// What the settings of each kind hold, as JSON (the environment on descriptor 3 carries them to the process):
//  vswitch     {"name":"lan","subnet":"10.77.0.0/24","ports":[PORT…]}
//              PORT = {"end":"port0","side":"a","name":"redis","mac":"02:…","addresses":["10.77.0.2"],
//                      "uplink":false,"joins":["*"] or ["client","host"],"mtu":1500,
//                      "super_frames":false if a plain wire is behind it}
//              Two ports are joined if each lists the other; "*" lists everybody. This is also the "port" of
//              the control requests add_port and remove_port, with the descriptors END.region, END.ring and
//              END.wake in this order.
//  driver-tap  {"end":"link","side":"b","interface":"sk-lan","mtu":1500}
//  driver-afxdp  the same, and {"queues":1}
//  driver-user {"end":"link","side":"b","mtu":1500,"mac":"02:…","address":"10.77.0.2","gateway":"10.77.0.1"}
//              MAC address and address are the program's: each program has a driver and a passt of its own.
//  stack       {"end":"link","side":"b","program":"redis","mac":"02:…","mtu":1500,
//              "addresses":["10.77.0.2/24"],"gateway":"10.77.0.1" or null,
//              "gateway_holds":262144 if the way from it loses more bytes than these at once,
//              "sockets":16384,"stream_bytes":524288,"hosts":{"redis":"10.77.0.2"},
//              "lossy_seed":7 if the composition asks for it,
//              "allow" if its program has an allow-list: {"fixed":[{"address":"10.77.0.3","port":5432,
//              "udp":false}…],"of_names":[{"port":443,"udp":false}…],"own":["10.77.0.0/24"…]}}
//  resolver    {"servers":["9.9.9.9:53"…],"own":["10.77.0.0/24"…],"names":[{"name":"api.example.org",
//              "fixed":[] or ["10.77.0.3"…],"ports":[{"port":443,"udp":false}…]}…]}
//              Of a program with an allow-list; the servers are descriptors server0, server1, … One that
//              follows another is started with "again":true beside these.
//  program     {"argv":[…],"executable":"/usr/bin/redis-server","environment":{"KEY":"VALUE"},
//              "working_directory":"/…","shares":["/path"],"address":"10.77.0.2","core":0,"hosts":{…},
//              "resolver":"10.77.0.1" if the uplink answers for the host's resolver, or the stack's own
//              address with an allow-list} Its process is the launcher (skerry-cell), which becomes the
//              program.
//  A stack and a vswitch have "one_core" too: true if everything in the plan ran on one core when they began.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "supervisor/allow.hpp"
#include "supervisor/publish.hpp"
#include "wire/address.hpp"

namespace skerry::supervisor {

enum class ProcessKind { vswitch, driver_tap, driver_afxdp, driver_user, stack, resolver, program };

// What a descriptor is made from. All are created by the supervisor, except the listener.
enum class ObjectKind {
  region,           // sealed memfd shared by exactly two neighbours
  session,          // sealed memfd of one stack, which passes it to each process of its program
  arena,            // sealed memfd of one stack: protocol state
  stats,            // memfd page: its process writes counters, the supervisor reads them
  pipe,             // doorbell: who holds the write end rings, who holds the read end is woken
  control,          // SOCK_SEQPACKET pair between a process and the supervisor
  listener,         // the session's listening socket: made by the program's launcher, handed on to the stack
  tap,              // opened TAP device with IFF_VNET_HDR
  xdp_map,          // BPF map of an interface taken for AF_XDP; with it lives the program that looks there
  xdp_socket,       // AF_XDP socket, not bound yet
  interface_watch,  // netlink socket that hears of one interface of the host's, and of nothing else
  passt,            // stream socket to a passt that the supervisor started for it
  rules,            // sealed memfd of one stack or vswitch: its compiled filter rules, empty if it has none
  names,            // SOCK_SEQPACKET pair: a stack passes its program's questions on, its resolver allows
  name_server,      // UDP socket on the host, connected to one name server
};

// Of a pipe: its read end, its write end. Of names: the stack's end, the resolver's.
enum class Access { read, write, read_write };

enum class Restart { never, on_failure, always };

// tap: a device on the host. afxdp: an interface of the host's. user: passt, one for each program
// (docs/decisions/0014).
enum class Uplink { none, tap, afxdp, user };

// An uplink as people write it after `--uplink` and `uplink =`: "none", "user", "tap", "afxdp:eth1".
struct UplinkName {
  UplinkName(Uplink the_kind, std::string the_interface = "")  // NOLINT(google-explicit-constructor)
      : kind(the_kind), interface(std::move(the_interface)) {}

  Uplink kind;
  std::string interface;  // of afxdp
  friend bool operator==(const UplinkName&, const UplinkName&) = default;
};

// IPv4 network in host byte order, for example 10.77.0.0/24.
struct Subnet {
  Ipv4Address base = 0;
  uint8_t prefix_bits = 24;

  friend bool operator==(const Subnet&, const Subnet&) = default;
  Ipv4Address mask() const { return prefix_bits == 0 ? 0 : ~Ipv4Address{0} << (32 - prefix_bits); }
  bool contains(Ipv4Address address) const { return (address & mask()) == base; }
  Ipv4Address gateway() const { return base + 1; }  // the host, where there is an uplink
  Ipv4Address broadcast() const { return base | ~mask(); }
};

struct Network {
  std::string name;
  Subnet subnet;
  Uplink uplink = Uplink::none;
  std::string interface;               // of an afxdp uplink
  unsigned queues = 0;                 // that the interface receives on
  std::optional<unsigned> core;        // of the vswitch and its driver; placed by the rules if absent
  std::string filter;                  // absolute path of the text of the vswitch's rules; empty: it has none
  std::vector<uint32_t> filter_lines;  // as Program's
};

inline constexpr uint32_t kMtu = 1500;  // of every link: bytes of an IP packet
// What may be on its way from passt at once: it drops what its end of the socket pair has no room for. With
// kPasstSocketBytes, which Linux lets everybody ask for (net.core.wmem_max), there is room for 280 kB in
// frames of a wire's size, their headers included.
inline constexpr int kPasstSocketBytes = 212992;
inline constexpr uint32_t kPasstHolds = 256 << 10;

// Limits of one stack.
struct StackLimits {
  uint32_t sockets = 16384;            // most sockets open at once
  uint32_t stream_bytes = 512 << 10;   // each direction of one stream; a power of two
  std::optional<uint64_t> lossy_seed;  // bad weather on the link, repeatable, for tests
};

struct Program {
  std::string name;
  std::vector<std::string> argv;
  std::string executable;         // absolute path of argv[0]
  std::vector<std::string> env;   // "KEY=VALUE", added to what is inherited
  std::string working_directory;  // absolute
  std::string stdout_path;        // absolute; empty: inherited
  std::string stderr_path;
  std::string network;
  Ipv4Address address = 0;
  MacAddress mac;
  std::string filter;  // absolute path of its rules' text; empty: it has none
  // That the rules stand in, by chains and in each by rules, if known; 0 of the allow-list's.
  std::vector<uint32_t> filter_lines;
  std::vector<std::string> joins = {"*"};  // programs (or "host") that it may exchange frames with
  std::vector<std::string> shares;         // absolute host paths visible in its cell
  std::vector<Publish> publish;            // ports of the host that lead to it; with Uplink::user
  std::vector<Allow> allow;                // whom alone it may speak to; empty: everybody
  std::vector<std::string> name_servers;   // whom its resolver asks, as parse_name_server() writes them
  Restart restart = Restart::never;
  std::optional<unsigned> core;  // of the program and its stack
  StackLimits stack;
  bool strict = false;    // a socket past the preload library stops it
  bool attached = false;  // started by `skerry run`: its life is the caller's, not the supervisor's
};

struct Object {
  std::string name;  // "lan.redis.region"
  ObjectKind kind = ObjectKind::region;
  uint64_t bytes = 0;         // of memory, else 0
  std::string interface;      // of a tap, an xdp_map and an interface_watch: name of the device on the host
  std::string host_address;   // of a tap or passt: what the host answers to, "10.77.0.1/24"; of a name_server
  std::string guest_address;  // of a passt: the program's, "10.77.0.2"
  std::vector<Publish> publish;  // of a passt
};

struct Grant {
  std::string fd;      // name in the process's environment: "link.region"
  std::string object;  // Object::name
  Access access = Access::read_write;
};

// Descriptor of grants[i] in the process: kFirstGrant + i. 0 and 1 are /dev/null, 2 is the log, 3 the
// environment.
inline constexpr int kEnvironmentFd = 3;
inline constexpr int kFirstGrant = 4;

struct Process {
  std::string name;  // "lan.vswitch", "lan.tap", "redis.uplink", "redis.stack", "redis.resolver", "redis"
  ProcessKind kind = ProcessKind::vswitch;
  std::string network;
  std::string program;  // of a stack, a program and its own driver: which one; else empty
  std::optional<unsigned> core;
  Restart restart = Restart::always;
  nlohmann::json settings;
  std::vector<Grant> grants;
};

struct LinkEnd {
  std::string process;  // Process::name
  std::string end;      // "link", "port0": the grants are END.region, END.ring, END.wake
};

// A link joins side "a", always the vswitch, to side "b". Its objects are LINK.region, LINK.to_a (a pipe
// whose read end a holds and whose write end b holds) and LINK.to_b.
struct PlannedLink {
  std::string name;  // "lan.redis", "lan.host", "lan.redis.uplink": NETWORK.PORT
  LinkEnd a;
  LinkEnd b;
};

struct Plan {
  std::string name;    // of the composition; names its control socket
  std::string source;  // the file it came from; empty for the default network
  std::string filter;  // rules for those who join with none of their own, as Program::filter
  std::vector<uint32_t> filter_lines;
  bool ends_with_last = false;  // the supervisor leaves when the last attached program has ended
  std::vector<Network> networks;
  std::vector<Program> programs;
  std::vector<Object> objects;
  std::vector<Process> processes;  // each vswitch, its driver, then each stack, what serves it, its program
  std::vector<PlannedLink> links;

  const Network* network(std::string_view name) const;
  const Program* program(std::string_view name) const;
  const Object* object(std::string_view name) const;
  const Process* process(std::string_view name) const;
  const PlannedLink* link(std::string_view name) const;
};

// What add_program changed, for a supervisor whose plan is already running.
struct Addition {
  std::string stack;    // Process::name
  std::string program;  // Process::name, also Program::name
  std::string link;     // PlannedLink::name
  std::string vswitch;  // Process::name of the vswitch that gets the ports
  nlohmann::json
      uplink_port;      // PORT of add_port for a driver of the program's own, which comes first; or null
  nlohmann::json port;  // PORT of add_port
  std::vector<Grant> grants;  // of that port: region, ring, wake
};

// Whether the program is joined with whatever the uplink leads to.
bool joins_host(const Program& program);

// Adds a network with its vswitch and, with an uplink of its own, its driver and the port "host" that leads
// to it.
void add_network(Plan& plan, const Network& network);

// Adds a program, its stack and their link, and with Uplink::user a driver with a port of its own; cores are
// place()'s. If `program.address` is 0 the lowest free address of its network is taken; `program.mac` zero:
// derived from the address. Errors: one sentence; the plan is unchanged then.
Result<Addition> add_program(Plan& plan, Program program);

// Undoes add_program. The name is free again afterwards.
void remove_program(Plan& plan, std::string_view program);

// Chooses a core for every process that has none, by the rules of ARCHITECTURE.md "placement": a program and
// its stack share a core, the least loaded; a vswitch and its drivers take the core with most slack, or
// behind a TAP that of the first program.
// Processes that have a core keep it.
void place(Plan& plan, const std::vector<unsigned>& cores);

// Broken invariants, one sentence each; empty if the plan is sound. For tests and for plans that came over a
// pipe.
std::vector<std::string> check_plan(const Plan& plan);

// How the command line hands a plan to the supervisor process.
std::string plan_to_json(const Plan& plan);
Result<Plan> plan_from_json(std::string_view text);

std::string_view to_string(ProcessKind kind);  // "vswitch", "driver-tap", "stack", "program", …
bool is_driver(ProcessKind kind);
// A driver or resolver of one program's own, which ends with it.
bool serves_one_program(const Process& process);
std::string_view to_string(ObjectKind kind);
std::string_view to_string(Access access);    // "read", "write", "read-write"
std::string_view to_string(Restart restart);  // "never", "on-failure", "always"
std::string_view to_string(Uplink uplink);    // "none", "tap", "afxdp", "user"
std::string to_string(const UplinkName& uplink);
// The error says what to write instead.
Result<UplinkName> parse_uplink(std::string_view text);
bool needs_root(Uplink uplink);
// File name of the executable beside `skerry`: "skerry-vswitch", …, "skerry-cell" for a program.
std::string_view executable_of(ProcessKind kind);

}  // namespace skerry::supervisor
