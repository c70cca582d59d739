// A program that writes anything anywhere into its session at any time, between honest work: the stack must
// neither crash, nor touch memory outside, nor lose an index that it cannot get back.
#include <cstring>

#include "../../tests/sockets/one_stack.hpp"

using namespace skerry;
using namespace skerry::sockets;

namespace {

class Script {
 public:
  explicit Script(ConstBytes bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint32_t take(size_t length) {
    uint32_t value = 0;
    const size_t have = std::min(length, bytes_.size());
    std::memcpy(&value, bytes_.data(), have);
    bytes_ = bytes_.subspan(have);
    return value;
  }

 private:
  ConstBytes bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  OneStack stack;
  SessionView& view = stack.view();
  const OneStack::Pair pair = stack.connected();
  const uint32_t datagram = stack.open(false);
  const uint32_t targets[] = {pair.listener, pair.client, pair.server, datagram};
  Script script({data, size});
  for (int step = 0; step < 64 && !script.empty(); ++step) {
    const uint32_t what = script.take(1);
    const uint32_t id = targets[script.take(1) % 4] % OneStack::kSize.sockets;
    const uint32_t value = script.take(4);
    switch (what % 12) {
      case 0:
        view.in(id).rx_read.store(value);
        break;
      case 1:
        view.in(id).tx_written.store(value);
        break;
      case 2:
        view.in(id).tx_base.store(value);
        break;
      case 3:
        view.in(id).watchers[value % 8].store(static_cast<uint16_t>(value >> 8));
        break;
      case 4:
        view.in(id).watch_all.store(value);
        break;
      case 5: {  // a request with any words
        Call& call = view.call(value % OneStack::kSize.calls);
        call.op = script.take(1);
        call.process = script.take(1) % 8;
        call.socket = script.take(1);
        call.endpoint.port = static_cast<uint16_t>(script.take(2));
        call.value[0] = script.take(2);
        call.state.store(kCallRequested);
        view.control().call_bits[0].store(~uint64_t{0});
        break;
      }
      case 6: {  // any word of the region
        const size_t at = value % (stack.region_bytes() - 4);
        const uint32_t word = script.take(4);
        std::memcpy(stack.region() + at, &word, sizeof word);
        break;
      }
      case 7: {  // a datagram header with any words
        uint32_t header[12];
        for (uint32_t& word : header) word = script.take(2);
        std::memcpy(view.tx(datagram), header, sizeof header);
        view.in(datagram).tx_written.store(value % 8192);
        break;
      }
      case 8:
        for (auto& word : view.control().dirty_summary) word.store(~uint64_t{0});
        for (uint32_t w = 0; w < OneStack::kSize.sockets / 64; ++w) view.dirty()[w].store(~uint64_t{value});
        break;
      case 9:
        view.waiter(value % OneStack::kSize.waiters).armed.store(value >> 8);
        break;
      case 10:
        stack.call(static_cast<Op>(value % 12), id);
        break;
      case 11:
        stack.write(pair.client, std::string(value % 3000, 'x'));
        break;
    }
    stack.note_of(id);
    stack.settle();
  }
  // With its only process gone, everything comes back, whatever was written.
  stack.server().process_died(kProcess);
  stack.pass(2 * kSecond);
  return 0;
}
