#include "filter/announcement.hpp"

#include <cstring>

#include "filter/checksum_change.hpp"

namespace skerry::filter {

FtpText::FtpText(FtpForm form, bool v6, const std::array<uint8_t, 16>& address, uint16_t port) {
  const auto add_v4 = [&](char separator) {
    for (size_t i = 0; i < 4; ++i) {
      if (i > 0) add(separator);
      add(uint32_t{address[i]});
    }
  };
  switch (form) {
    case FtpForm::port:
    case FtpForm::pasv:
      add_v4(',');
      add(',');
      add(uint32_t{port} >> 8);
      add(',');
      add(uint32_t{port} & 255);
      return;
    case FtpForm::eprt:
      add('|');
      add(v6 ? '2' : '1');
      add('|');
      v6 ? add_v6(address) : add_v4('.');
      break;
    case FtpForm::epsv:
      add('|');
      add('|');
      break;
  }
  add('|');
  add(uint32_t{port});
  add('|');
}

void FtpText::add(uint32_t number) {
  if (number >= 10) add(number / 10);
  add(static_cast<char>('0' + number % 10));
}

// As Linux writes it: nothing is left out.
void FtpText::add_v6(const std::array<uint8_t, 16>& address) {
  for (size_t i = 0; i < address.size(); ++i) {
    if (i > 0 && i % 2 == 0) add(':');
    add("0123456789abcdef"[address[i] >> 4]);
    add("0123456789abcdef"[address[i] & 15]);
  }
}

bool replace_text(Packet& packet, size_t transport, size_t begin, size_t bytes, ConstBytes text) {
  constexpr size_t kTcpChecksum = 16, kV4Length = 2, kV4Checksum = 10, kV6Length = 4, kV6Bytes = 40;
  const size_t size = packet.bytes.size(), new_size = size - bytes + text.size();
  packet.lacks_room = text.size() > bytes + packet.room || new_size > UINT16_MAX;
  if (packet.lacks_room) return false;
  uint8_t* const data = packet.bytes.data();
  const auto length = static_cast<uint32_t>(size - transport),
             new_length = static_cast<uint32_t>(new_size - transport);
  const uint32_t before = fold(sum_of(packet.bytes.subspan(transport)));
  std::memmove(data + begin + text.size(), data + begin + bytes, size - begin - bytes);
  std::memcpy(data + begin, text.data(), text.size());
  packet.bytes = {data, new_size};
  packet.room = packet.room + size - new_size;
  packet.length = static_cast<uint32_t>(new_size);
  packet.translated = true;

  uint8_t* const checksum = data + transport + kTcpChecksum;
  if (packet.unfinished)
    adjust_unfinished(checksum, length, new_length);
  else if (!packet.unsummed)
    adjust(checksum, before + length, fold(sum_of(packet.bytes.subspan(transport))) + new_length);
  const auto total = static_cast<uint16_t>(packet.v6 ? new_size - kV6Bytes : new_size);
  if (!packet.v6) adjust(data + kV4Checksum, load_be16(data + kV4Length), total);
  store_be16(data + (packet.v6 ? kV6Length : kV4Length), total);
  return true;
}

}  // namespace skerry::filter
