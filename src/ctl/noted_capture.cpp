#include "ctl/noted_capture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "ctl/running.hpp"
#include "ctl/table.hpp"
#include "link/pcapng.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;

constexpr size_t kMostBytes = 1024, kMostNote = 1024;  // of a packet and of a comment

TimeNs wall_clock() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

std::vector<uint8_t> bytes_of(const std::string& digits) {
  std::vector<uint8_t> bytes;
  const auto value = [](char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; };
  for (size_t i = 0; i + 1 < digits.size() && bytes.size() < kMostBytes; i += 2)
    bytes.push_back(static_cast<uint8_t>(value(digits[i]) << 4 | value(digits[i + 1])));
  return bytes;
}

}  // namespace

std::string note_of(const json& row) {
  std::string note = text_of(row, "what") + " at " + text_of(row, "hook");
  const std::string by = text_of(row, "by");
  note += text_of(row, "what") == "log" ? ": " + by : " by " + by;
  if (row.contains("line")) note += fmt::format(", {}:{}", text_of(row, "file"), text_of(row, "line"));
  note = printable(std::move(note));
  size_t end = std::min(note.size(), kMostNote);
  while (end < note.size() && end > 0 && (note[end] & 0xc0) == 0x80) --end;  // not within a character
  note.resize(end);
  return note;
}

Result<NotedCapture> NotedCapture::open(const std::string& path, const std::string& name) {
  std::FILE* const file = path == "-" ? stdout : std::fopen(path.c_str(), "wbe");
  if (file == nullptr) return Error{fmt::format("cannot write {}: {}", path, std::strerror(errno)), errno};
  NotedCapture capture(path, file);
  uint8_t header[kPcapngFileHeaderBytes];
  const Result<void> written = capture.write({header, pcapng_file_header(header, name, PcapngLink::kRawIp)});
  if (!written) return written.error();
  return capture;
}

Result<void> NotedCapture::write(ConstBytes bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size() &&
      std::fflush(file_.get()) == 0)
    return {};
  return Error{fmt::format("cannot write {}: {}", path_, std::strerror(errno)), errno};
}

Result<bool> NotedCapture::add(const json& row) {
  const std::vector<uint8_t> bytes = bytes_of(row.is_object() ? row.value("bytes", std::string()) : "");
  if (bytes.empty()) return false;
  const std::string note = note_of(row), hook = text_of(row, "hook");
  const bool leaves = hook == "output" || hook == "postrouting" || hook == "egress";
  const TimeNs now = wall_clock();
  const auto ago =
      static_cast<TimeNs>(std::min<uint64_t>(number_of(row, "ago_ns"), static_cast<uint64_t>(now)));
  latest_ = std::max(latest_, now - ago);
  const auto length =
      std::max<uint64_t>(bytes.size(), std::min<uint64_t>(number_of(row, "length"), UINT16_MAX));
  std::vector<uint8_t> block(kPcapngPacketOverheadBytes + bytes.size() + note.size() + 8);
  block.resize(pcapng_packet(block.data(), latest_,
                             leaves ? CaptureDirection::kOutbound : CaptureDirection::kInbound, bytes,
                             static_cast<uint32_t>(length), note));
  if (const Result<void> written = write(block); !written) return written.error();
  return true;
}

}  // namespace skerry::ctl
