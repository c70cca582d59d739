// What the kernel says of one of its interfaces: whether its carrier is there, and when it is deleted. Read
// first: rtnetlink(7), and the kernel's Documentation/networking/operstates.rst.
//
// The supervisor opens the socket, in the host's network namespace; the driver, which is in an empty one,
// only listens. A filter that cannot be taken off again lets nothing through but words about that interface.
#pragma once

#include <string>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "link/carrier.hpp"

namespace skerry {

class InterfaceWatch {
 public:
  // The socket, with the question how things are asked already. Needs no privilege.
  static Result<Fd> open(const std::string& interface);

  // Of a device that is no interface: its carrier is always there.
  InterfaceWatch() = default;
  // Takes what was opened.
  explicit InterfaceWatch(Fd socket) : socket_(std::move(socket)) { look(); }

  // Readable when look() would find something; -1 if there is nothing to watch.
  int fd() const { return socket_.get(); }
  // Takes what has been said since. Never blocks.
  void look();

  Carrier carrier() const { return carrier_; }
  bool deleted() const { return deleted_; }

 private:
  Fd socket_;
  int index_ = 0;  // the interface's, once it has been heard of
  Carrier carrier_;
  bool deleted_ = false;
};

}  // namespace skerry
