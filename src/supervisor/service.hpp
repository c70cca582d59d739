// The supervisor's side of the control protocol: who asks what, and what the supervisor says.
//
// Read first: control_protocol.hpp. Invariant: a connection that breaks the protocol is closed and costs
// nobody else anything; whatever takes time (stacks that are asked, a port that is added) answers later, by
// the number of its connection, which is never used again.
#pragma once

#include <map>

#include "run/host.hpp"
#include "supervisor/control_socket.hpp"
#include "supervisor/supervisor.hpp"

namespace skerry::supervisor {

class Service {
 public:
  static Result<std::unique_ptr<Service>> create(const std::string& path, Supervisor& supervisor, Host& host);
  ~Service();

  // Sends what sockets had no room for. True if something still waits: then come back soon.
  bool flush();

 private:
  Service(ControlListener listener, Supervisor& supervisor, Host& host)
      : listener_(std::move(listener)), supervisor_(supervisor), host_(host) {}
  void accept();
  void receive(uint64_t connection);
  void serve(uint64_t connection, const Request& request, std::vector<Fd> descriptors);
  void send(uint64_t connection, const nlohmann::json& reply, std::span<const int> fds = {});
  void close(uint64_t connection);
  // Of a stack, for one reply: what they hold fits into it.
  static constexpr size_t kMostMessages = kMaxReplyBytes / kMaxControlBytes;
  struct Gathering;  // of the sockets of all stacks, for one connection
  void gather_sockets(uint64_t connection);
  void ask_for_sockets(const std::string& stack, const std::string& program, size_t first,
                       const std::shared_ptr<Gathering>& gathering);
  void one_answered(Gathering& gathering);
  void mirror(uint64_t connection, const std::string& link);
  void join(uint64_t connection, const RunRequest& request, std::vector<Fd> descriptors);
  // service_rules.cpp
  struct RuleRows;  // of one stack, for one connection
  void list_rules(uint64_t connection, const std::string& process);
  void ask_for_rules(const std::shared_ptr<RuleRows>& gathered);
  void ask_filter(uint64_t connection, const Request& request, const std::vector<Fd>& descriptors);
  void load_rules(uint64_t connection, const Request& request, std::vector<Fd> descriptors);

  ControlListener listener_;
  Supervisor& supervisor_;
  Host& host_;
  std::map<uint64_t, ControlConnection> connections_;
  uint64_t next_connection_ = 1;
};

}  // namespace skerry::supervisor
