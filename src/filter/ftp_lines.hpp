// Where an FTP server or client says that it waits for a connection: PORT and EPRT of a client (RFC 959
// section 4.1.2, RFC 2428), and what a server answers to PASV and EPSV (codes 227 and 229). A stranger wrote
// what is read here.
//
// What counts as an announcement is Linux's, letter by letter (nf_conntrack_ftp.c): who takes a line for one
// that the other does not would let connections in that the other keeps out.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"

namespace skerry::filter {

enum class FtpForm : uint8_t { port, eprt, pasv, epsv };

struct FtpLine {
  enum class Says : uint8_t {
    nothing,  // that is looked for here
    unclear,  // it begins as an announcement and goes on as none, or has not come to its end
    announces,
  };
  Says says = Says::nothing;
  FtpForm form{};
  bool has_address = false;           // one of EPSV has none: it is the server's own
  std::array<uint8_t, 16> address{};  // as in a Tuple
  uint16_t port = 0;
  size_t begin = 0, bytes = 0;  // of the text that says so, where another may be put
};

// `text` begins where a line does, and ends where its segment does. `reply`: the server wrote it.
FtpLine read_ftp_line(ConstBytes text, bool reply, bool v6);

// Sequence numbers at which lines of one direction begin: the last two, because a segment may be sent again
// behind the next one. Begins as LineStarts{}.
class LineStarts {
 public:
  bool has(uint32_t seq) const;
  void add(uint32_t seq);

 private:
  std::array<uint32_t, 2> starts_;
  uint8_t known_;
};

}  // namespace skerry::filter
