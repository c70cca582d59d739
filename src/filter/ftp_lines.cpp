#include "filter/ftp_lines.hpp"

#include <algorithm>
#include <cstring>

#include "filter/conntrack_tcp.hpp"

namespace skerry::filter {

namespace {

bool is_digit(uint8_t byte) {
  return byte >= '0' && byte <= '9';
}

int hex_digit(uint8_t byte) {
  if (is_digit(byte)) return byte - '0';
  const auto letter = static_cast<uint8_t>(byte | 0x20);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// What may stand around numbers: a visible character, and no digit.
bool delimits(uint8_t byte) {
  return byte >= 33 && byte <= 126 && !is_digit(byte);
}

bool is_word(ConstBytes text, const char* word, size_t bytes) {
  return std::equal(text.begin(), text.begin() + static_cast<ptrdiff_t>(bytes), word,
                    [](uint8_t byte, char letter) {
                      return (byte >= 'a' && byte <= 'z' ? byte - 'a' + 'A' : byte) == letter;
                    });
}

// Numbers between separators, and behind them `end`, or anything if that is 0. How many bytes they take; 0:
// they are none. As on Linux no number is too large, its upper bits are lost.
template <size_t count>
size_t numbers(ConstBytes text, uint8_t separator, uint8_t end, std::array<uint32_t, count>& into) {
  into = {};
  size_t number = 0;
  for (size_t i = 0; i < text.size() && number < count; ++i) {
    if (is_digit(text[i])) {
      into[number] = into[number] * 10 + text[i] - '0';
    } else if (text[i] == separator) {
      ++number;
    } else {
      return (text[i] == end || end == 0) && number + 1 == count ? i : 0;
    }
  }
  return 0;
}

void put_address(FtpLine& line, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth) {
  line.has_address = true;
  line.address = {};
  store_be32(line.address.data(), first << 24 | second << 16 | third << 8 | fourth);
}

// "10,0,0,1,4,210": an address and the two bytes of a port.
size_t read_six(ConstBytes text, uint8_t end, FtpLine& line) {
  std::array<uint32_t, 6> six;
  const size_t bytes = numbers(text, ',', end, six);
  put_address(line, six[0], six[1], six[2], six[3]);
  line.port = static_cast<uint16_t>(six[4] << 8 | six[5]);
  return bytes;
}

// A number and behind it `end`, which belongs to it. 0: it is none.
size_t read_port(ConstBytes text, size_t from, uint8_t end, uint16_t& port) {
  port = 0;
  for (size_t i = from; i < text.size(); ++i) {
    if (text[i] == end) return port == 0 ? 0 : i + 1;
    if (!is_digit(text[i])) return 0;
    port = static_cast<uint16_t>(port * 10 + text[i] - '0');
  }
  return 0;
}

// The last four bytes of an address may be written as one of IPv4.
size_t read_dotted(ConstBytes text, uint8_t end, uint8_t* into) {
  std::array<uint32_t, 4> four;
  const size_t bytes = numbers(text, '.', end, four);
  if (bytes == 0) return 0;
  for (const uint32_t byte : four) {
    if (byte > UINT8_MAX) return 0;
    *into++ = static_cast<uint8_t>(byte);
  }
  return bytes;
}

// An address of IPv6 as text (RFC 4291 section 2.2) with `end` behind it: how many bytes it takes, 0 if it is
// none.
size_t read_v6(ConstBytes text, uint8_t end, std::array<uint8_t, 16>& address) {
  std::array<uint8_t, 16> read{};
  size_t filled = 0, gap = SIZE_MAX, at = 0;  // gap: where "::" stands for zeros
  const auto is = [&](size_t place, uint8_t byte) { return place < text.size() && text[place] == byte; };
  if (end == ':' || end == '.') return 0;
  while (!is(at, end) || gap != filled) {
    if (filled == read.size()) return 0;
    if (gap == SIZE_MAX && is(at, ':') && is(at + 1, ':')) {
      gap = filled;
      at += 2;
      continue;
    }
    const bool may_be_dotted = filled + 4 == read.size() || (gap != SIZE_MAX && filled + 4 < read.size());
    const size_t dotted = may_be_dotted ? read_dotted(text.subspan(at), end, &read[filled]) : 0;
    if (dotted > 0) {
      filled += 4;
      at += dotted;
      break;
    }
    uint32_t word = 0;
    const size_t begin = at;
    for (; at < text.size() && text[at] != end && hex_digit(text[at]) >= 0; ++at) {
      word = word << 4 | static_cast<uint32_t>(hex_digit(text[at]));
      if (word > UINT16_MAX) return 0;
    }
    if (at == begin) return 0;
    store_be16(&read[filled], static_cast<uint16_t>(word));
    filled += 2;
    if (is(at, end)) break;
    if (!is(at, ':')) return 0;
    if (gap != SIZE_MAX || !is(at + 1, ':')) ++at;  // else the gap begins here
  }
  if (gap == SIZE_MAX && filled != read.size()) return 0;
  const auto begin = read.begin(), middle = begin + static_cast<ptrdiff_t>(std::min(gap, filled));
  address = {};
  std::copy(begin, middle, address.begin());
  std::copy_backward(middle, begin + static_cast<ptrdiff_t>(filled), address.end());
  return at;
}

// "|1|10.0.0.1|1234|" or "|2|fd00::1|1234|", with any delimiter.
size_t read_extended(ConstBytes text, bool v6, FtpLine& line) {
  constexpr size_t kBefore = 3;
  if (text.size() <= kBefore || !delimits(text[0]) || text[2] != text[0]) return 0;
  if (text[1] != (v6 ? '2' : '1')) return 0;
  const uint8_t delimiter = text[0];
  size_t bytes = 0;
  if (v6) {
    line.has_address = true;
    bytes = read_v6(text.subspan(kBefore), delimiter, line.address);
  } else {
    std::array<uint32_t, 4> four;
    bytes = numbers(text.subspan(kBefore), '.', delimiter, four);
    put_address(line, four[0], four[1], four[2], four[3]);
  }
  return bytes == 0 ? 0 : read_port(text, kBefore + bytes + 1, delimiter, line.port);
}

// "|||1234|".
size_t read_port_alone(ConstBytes text, FtpLine& line) {
  constexpr size_t kBefore = 3;
  if (text.size() <= kBefore || !delimits(text[0]) || text[1] != text[0] || text[2] != text[0]) return 0;
  return read_port(text, kBefore, text[0], line.port);
}

struct Pattern {
  FtpForm form;
  const char* word;
  uint8_t before;  // what it is looked for behind; 0: it follows the word
};
constexpr Pattern kPatterns[2][2] = {
    {{FtpForm::port, "PORT", ' '}, {FtpForm::eprt, "EPRT", ' '}},
    {{FtpForm::pasv, "227 ", 0}, {FtpForm::epsv, "229 ", '('}},
};
constexpr size_t kWordBytes = 4;

FtpLine match(const Pattern& pattern, ConstBytes text, bool v6) {
  FtpLine line{.form = pattern.form};
  if (!is_word(text, pattern.word, std::min(text.size(), kWordBytes))) return line;
  line.says = FtpLine::Says::unclear;
  if (text.size() <= kWordBytes) return line;
  const auto behind_word = text.begin() + kWordBytes;
  auto begin = behind_word;
  if (pattern.before != 0) {
    begin = std::find(behind_word, text.end(), pattern.before);
    if (begin == text.end()) return line;
    ++begin;
  } else if (pattern.form == FtpForm::pasv) {  // brackets or none (RFC 1123 section 4.1.2.6)
    begin = std::find_if(behind_word, text.end(), is_digit);
  }
  line.begin = static_cast<size_t>(begin - text.begin());
  const ConstBytes rest = text.subspan(line.begin);
  switch (pattern.form) {
    case FtpForm::port:
      line.bytes = read_six(rest, '\r', line);
      break;
    case FtpForm::eprt:
      line.bytes = read_extended(rest, v6, line);
      break;
    case FtpForm::pasv:
      line.bytes = read_six(rest, 0, line);
      break;
    case FtpForm::epsv:
      line.bytes = read_port_alone(rest, line);
      break;
  }
  if (line.bytes > 0) line.says = FtpLine::Says::announces;
  return line;
}

}  // namespace

FtpLine read_ftp_line(ConstBytes text, bool reply, bool v6) {
  for (const Pattern& pattern : kPatterns[reply]) {
    const FtpLine line = match(pattern, text, v6);
    if (line.says != FtpLine::Says::nothing) return line;
  }
  return {};
}

bool LineStarts::has(uint32_t seq) const {
  return std::find(starts_.begin(), starts_.begin() + known_, seq) != starts_.begin() + known_;
}

void LineStarts::add(uint32_t seq) {
  if (has(seq)) return;
  if (known_ < starts_.size()) {
    starts_[known_++] = seq;
    return;
  }
  uint32_t& older = is_before(starts_[0], starts_[1]) ? starts_[0] : starts_[1];
  if (is_behind(seq, older)) older = seq;
}

}  // namespace skerry::filter
