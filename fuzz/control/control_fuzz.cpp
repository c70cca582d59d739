// What a local peer may send to the supervisor's control socket: any bytes, in any pieces. The reader keeps
// its bound, a line is refused or means the same after it is written out again.
//
// The first byte says how large the pieces are.
#include <cstdlib>
#include <string_view>

#include "supervisor/control_protocol.hpp"

using namespace skerry::supervisor;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr size_t kBound = 4096;
  const size_t piece = 1 + data[0];
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  LineReader reader(kBound);
  for (size_t at = 0; at < stream.size(); at += piece) {
    if (!reader.append(stream.substr(at, piece))) break;
    while (const std::optional<std::string> line = reader.next()) {
      check(line->size() <= kBound + piece);
      const skerry::Result<Request> request = parse_request(*line);
      if (request) {
        const std::string again = format_request(*request);
        const skerry::Result<Request> parsed = parse_request(again);
        check(bool(parsed));
        check(format_request(*parsed) == again);
      }
      // The asking side reads the same bytes as a reply.
      const skerry::Result<nlohmann::json> reply = parse_reply(*line);
      if (reply) (void)parse_run_reply(*reply);
    }
  }
  return 0;
}
