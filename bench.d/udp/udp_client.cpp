// Keeps a fixed number of 64-byte datagrams on their way to an echo server and back, and counts what returns.
//
// Each datagram names its place in the window and a serial number. A place is free again when its own latest
// serial comes back; one that stays away for kLostAfter is counted as lost and sent anew, so a lossy path
// slows the run but never stops it.
//
// usage: bench-udp-client ADDRESS PORT WINDOW SECONDS
// prints {"replies":…,"lost":…,"seconds":…,"p50_us":…,"p99_us":…}; exit 1 if nothing came back
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLostAfter = std::chrono::milliseconds(100);
constexpr size_t kDatagramBytes = 64;
constexpr size_t kMaxSamples = 1 << 20;  // round trips kept for the percentiles: the latest ones

struct Place {
  uint64_t serial = 0;
  Clock::time_point sent;
};

struct Header {
  uint64_t place;
  uint64_t serial;
};

double percentile_us(std::vector<float>& samples, double share) {
  if (samples.empty()) return 0;
  const auto nth = samples.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), nth, samples.end());
  return static_cast<double>(*nth);
}

class Client {
 public:
  Client(int socket_fd, size_t window) : socket_(socket_fd), places_(window) {
    samples_.reserve(kMaxSamples);
  }

  void run(Clock::duration length) {
    const Clock::time_point started = Clock::now();
    now_ = started;
    for (size_t place = 0; place < places_.size(); ++place) send_from(place);
    Clock::time_point look_again = started + kLostAfter;
    while (now_ < started + length) {
      if (!receive() || now_ >= look_again) {
        resend_lost();
        look_again = now_ + kLostAfter;
      }
    }
    seconds_ = std::chrono::duration<double>(now_ - started).count();
  }

  void print() {
    std::printf("{\"replies\":%llu,\"lost\":%llu,\"seconds\":%.6f,\"p50_us\":%.2f,\"p99_us\":%.2f}\n",
                static_cast<unsigned long long>(replies_), static_cast<unsigned long long>(lost_), seconds_,
                percentile_us(samples_, 0.50), percentile_us(samples_, 0.99));
  }

  uint64_t replies() const { return replies_; }

 private:
  void send_from(size_t place) {
    places_[place] = {++serial_, now_};
    char datagram[kDatagramBytes] = {};
    const Header header{place, serial_};
    std::memcpy(datagram, &header, sizeof header);
    send(socket_, datagram, sizeof datagram, 0);  // what a full queue refuses is resent like any other loss
  }

  // Takes one datagram and the time; false if none came within the socket's time-out.
  bool receive() {
    char datagram[kDatagramBytes];
    const ssize_t length = recv(socket_, datagram, sizeof datagram, 0);
    now_ = Clock::now();
    if (length < 0 && errno != EAGAIN && errno != EINTR) {
      std::perror("bench-udp-client: recv");
      std::exit(1);
    }
    if (length != static_cast<ssize_t>(kDatagramBytes)) return length >= 0;
    Header header;
    std::memcpy(&header, datagram, sizeof header);
    if (header.place >= places_.size() || places_[header.place].serial != header.serial) return true;  // late
    const float round_trip_us =
        std::chrono::duration<float, std::micro>(now_ - places_[header.place].sent).count();
    if (samples_.size() < kMaxSamples) {
      samples_.push_back(round_trip_us);
    } else {
      samples_[replies_ % kMaxSamples] = round_trip_us;
    }
    ++replies_;
    send_from(header.place);
    return true;
  }

  void resend_lost() {
    for (size_t place = 0; place < places_.size(); ++place) {
      if (now_ - places_[place].sent < kLostAfter) continue;
      ++lost_;
      send_from(place);
    }
  }

  int socket_;
  std::vector<Place> places_;
  std::vector<float> samples_;
  Clock::time_point now_;
  uint64_t serial_ = 0;
  uint64_t replies_ = 0;
  uint64_t lost_ = 0;
  double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: bench-udp-client ADDRESS PORT WINDOW SECONDS\n");
    return 2;
  }
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[2])));
  const int window = std::atoi(argv[3]);
  const double seconds = std::atof(argv[4]);
  const int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);
  const timeval lost_after{0, std::chrono::microseconds(kLostAfter).count()};
  if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || window < 1 || seconds <= 0) {
    std::fprintf(stderr, "bench-udp-client: ADDRESS is IPv4, WINDOW at least 1, SECONDS above 0\n");
    return 2;
  }
  if (socket_fd < 0 || connect(socket_fd, reinterpret_cast<sockaddr*>(&server), sizeof server) != 0 ||
      setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &lost_after, sizeof lost_after) != 0) {
    std::perror("bench-udp-client: socket");
    return 1;
  }
  Client client(socket_fd, static_cast<size_t>(window));
  client.run(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
  client.print();
  return client.replies() == 0;
}
