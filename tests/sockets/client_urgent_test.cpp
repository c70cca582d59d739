// MSG_OOB, SO_OOBINLINE, SIOCATMARK and POLLPRI, as the kernel has them.
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "client_case.hpp"

namespace skerry::sockets {
namespace {

class UrgentTest : public ConnectedCase {
 protected:
  void set_inline() {
    const int on = 1;
    EXPECT_EQ(os->set_option(b_, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on), 0);
  }
  int ask(unsigned long request) {
    int answer = -1;
    EXPECT_EQ(os->control(b_, request, &answer), 0);
    return answer;
  }
  std::string receive_urgent(int flags = 0) { return receive(b_, 10, MSG_OOB | flags); }
  // What was sent takes a moment to arrive.
  template <class Condition>
  void wait_until(Condition is_true) {
    for (int turn = 0; turn < 5000 && !is_true(); ++turn) ::usleep(1000);
    EXPECT_TRUE(is_true());
  }
  // Until so many bytes before the urgent one are there, and itself.
  void wait_for_mark(int bytes) {
    EXPECT_EQ(wait_for(b_, POLLPRI), POLLPRI);
    wait_until([&] { return ask(FIONREAD) >= bytes; });
  }
};
ON_KERNEL_AND_CLIENT(UrgentTest);

TEST_P(UrgentTest, ReadingStopsBeforeTheByteAndGoesOnBehindIt) {
  EXPECT_EQ(send(a_, "ab"), 2);
  EXPECT_EQ(send(a_, "c", MSG_OOB), 1);
  EXPECT_EQ(send(a_, "de"), 2);
  wait_for_mark(2);
  EXPECT_EQ(ask(FIONREAD), 2);
  EXPECT_EQ(ask(SIOCATMARK), 0);
  EXPECT_EQ(receive(b_), "ab");
  EXPECT_EQ(ask(SIOCATMARK), 1);
  EXPECT_EQ(receive(b_), "de");
  EXPECT_EQ(ask(SIOCATMARK), 0);
}

TEST_P(UrgentTest, OnlyMsgOobReadsTheByteAndOnce) {
  EXPECT_EQ(receive_urgent(), "error 22");
  EXPECT_EQ(send(a_, "abc", MSG_OOB), 3);
  EXPECT_EQ(wait_for(b_, POLLPRI), POLLPRI);
  EXPECT_EQ(receive_urgent(MSG_PEEK), "c");
  EXPECT_EQ(receive_urgent(), "c");
  EXPECT_EQ(receive_urgent(), "error 22");
  EXPECT_EQ(receive(b_), "ab");
  EXPECT_EQ(receive(b_, 10, MSG_DONTWAIT), "error 11");
  EXPECT_EQ(send(a_, "d"), 1);
  EXPECT_EQ(receive(b_), "d");
}

TEST_P(UrgentTest, APeekAtTheMarkLeavesItWhereItIs) {
  EXPECT_EQ(send(a_, "abc", MSG_OOB), 3);
  EXPECT_EQ(send(a_, "de"), 2);
  wait_for_mark(2);
  EXPECT_EQ(receive(b_, 10, MSG_PEEK), "ab");
  EXPECT_EQ(receive(b_), "ab");
  wait_until([&] { return receive(b_, 10, MSG_PEEK | MSG_DONTWAIT) == "de"; });
  EXPECT_EQ(ask(SIOCATMARK), 1);
  EXPECT_EQ(receive_urgent(), "c");
  EXPECT_EQ(receive(b_, 10, MSG_PEEK), "de");
  EXPECT_EQ(ask(SIOCATMARK), 1);
  EXPECT_EQ(receive(b_), "de");
  EXPECT_EQ(ask(SIOCATMARK), 0);
}

TEST_P(UrgentTest, APeekAtTheMarkWithNothingBehindItFindsNothing) {
  EXPECT_EQ(send(a_, "c", MSG_OOB), 1);
  EXPECT_EQ(wait_for(b_, POLLPRI), POLLPRI);
  EXPECT_EQ(receive(b_, 10, MSG_PEEK | MSG_DONTWAIT), "error 11");
  EXPECT_EQ(ask(SIOCATMARK), 1);
  EXPECT_EQ(receive_urgent(), "c");
}

TEST_P(UrgentTest, APeekAtAnInlineMarkLeavesItWhereItIs) {
  set_inline();
  EXPECT_EQ(send(a_, "c", MSG_OOB), 1);
  EXPECT_EQ(wait_for(b_, POLLPRI | POLLIN), POLLPRI | POLLIN);
  EXPECT_EQ(receive(b_, 10, MSG_PEEK), "c");
  EXPECT_EQ(ask(SIOCATMARK), 1);
  EXPECT_EQ(receive(b_), "c");
  EXPECT_EQ(ask(SIOCATMARK), 0);
}

TEST_P(UrgentTest, AloneItIsNoInput) {
  EXPECT_EQ(send(a_, "!", MSG_OOB), 1);
  EXPECT_EQ(wait_for(b_, POLLPRI | POLLIN), POLLPRI);
  EXPECT_EQ(ask(FIONREAD), 0);
  EXPECT_EQ(ask(SIOCATMARK), 1);
  EXPECT_EQ(receive(b_, 10, MSG_DONTWAIT), "error 11");
  EXPECT_EQ(receive_urgent(), "error 22");  // reading has gone past it
}

TEST_P(UrgentTest, InlineItIsAByteLikeTheOthersButReadingStopsBeforeIt) {
  set_inline();
  EXPECT_EQ(send(a_, "ab"), 2);
  EXPECT_EQ(send(a_, "c", MSG_OOB), 1);
  wait_for_mark(3);
  EXPECT_EQ(receive_urgent(), "error 22");
  EXPECT_EQ(ask(FIONREAD), 3);
  EXPECT_EQ(receive(b_), "ab");
  EXPECT_EQ(ask(SIOCATMARK), 1);
  EXPECT_EQ(receive(b_), "c");
}

TEST_P(UrgentTest, ALaterOneTakesThePlaceOfTheOneBefore) {
  EXPECT_EQ(send(a_, "a1", MSG_OOB), 2);
  wait_for_mark(1);
  EXPECT_EQ(send(a_, "b2", MSG_OOB), 2);
  // The first is a byte like the others now; with it three bytes come before the second.
  wait_until([&] { return ask(FIONREAD) == 3; });
  EXPECT_EQ(receive_urgent(), "2");
  EXPECT_EQ(receive(b_), "a1b");
}

}  // namespace
}  // namespace skerry::sockets
