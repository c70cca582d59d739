"""FTP behind rules that let in what was announced and nothing else: Debian's python3 with its ftplib, and the server of its own tests."""

import unittest

from filter_stack_test import PYTHON, READY, FilterCase

SERVER = """
import socket, warnings
warnings.simplefilter("ignore")
from test import test_ftplib

class Handler(test_ftplib.DummyFTPHandler):
    def __init__(self, conn, encoding):
        super().__init__(conn, encoding)
        self.fake_pasv_server_ip = conn.getsockname()[0]

    def cmd_epsv(self, arg):
        with socket.create_server((self.socket.getsockname()[0], 0)) as listener:
            listener.settimeout(20)
            self.push("229 entering extended passive mode (|||%d|)" % listener.getsockname()[1])
            self.dtp = self.dtp_handler(listener.accept()[0], baseclass=self)

test_ftplib.DummyFTPServer.handler = Handler
server = test_ftplib.DummyFTPServer(("0.0.0.0", 21))
server.start()
print("ready", flush=True)
server.join()
"""
# Fetches a file each way and prints how long it was.
CLIENT = """
import ftplib, sys

class Extended(ftplib.FTP):
    sendport = ftplib.FTP.sendeprt

    def makepasv(self):
        return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())

host, timeout_s, *ways = sys.argv[1:]
for way in ways:
    ftp = (Extended if way.startswith("extended") else ftplib.FTP)(host, timeout=float(timeout_s))
    ftp.login()
    ftp.set_pasv(way.endswith("passive"))
    pieces = []
    try:
        ftp.retrbinary("RETR file", pieces.append)
        print(way, sum(map(len, pieces)))
    except TimeoutError:
        print(way, "silence")
    ftp.close()
"""
FILE_BYTES = 12019  # of that server's one file
WAYS = ["passive", "active", "extended-passive", "extended-active"]

# Of who is asked, or asks: the hook where their control connections begin.
RULES = """
table inet mine {
    ct helper files { type "ftp" protocol tcp; }
    chain helped { type filter hook %s priority 0; tcp dport 21 ct helper set "files"; }
    chain in {
        type filter hook input priority 0; policy drop;
        ct state related ct helper "ftp" counter accept comment "data in"
        ct state established accept
        tcp dport 21 accept
    }
    chain out {
        type filter hook output priority 0; policy drop;
        ct state related ct helper "ftp" counter accept comment "data out"
        ct state established accept
        tcp dport 21 accept
    }
}
"""


class Ftp(FilterCase):
    def begin_server(self, *options):
        return self.serve(PYTHON, "-c", SERVER, ready=READY, options=("--uplink", "none", "--name", "web", *options))

    def fetch(self, *ways, timeout_s=20, options=()):
        lines = self.ask(PYTHON, "-c", CLIENT, "10.77.0.2", str(timeout_s), *ways, timeout_s=60, options=options).splitlines()
        return dict(line.split() for line in lines)

    def test_a_server_lets_in_and_out_what_was_announced(self):
        self.begin_server("--filter", str(self.rules(RULES % "prerouting")))
        self.assertEqual(self.fetch(*WAYS), {way: str(FILE_BYTES) for way in WAYS})
        self.assertGreaterEqual(min(self.packets(comment="data in"), self.packets(comment="data out")), 2)

    def test_a_client_lets_in_and_out_what_was_announced(self):
        self.begin_server()
        rules = self.rules(RULES % "output", "client.nft")
        self.assertEqual(self.fetch(*WAYS, options=("--filter", str(rules))), {way: str(FILE_BYTES) for way in WAYS})

    def test_without_a_helper_nothing_is_known_of_it(self):
        self.begin_server("--filter", str(self.rules(RULES.replace('tcp dport 21 ct helper set "files"', "") % "prerouting")))
        self.assertEqual(self.fetch("passive", timeout_s=3), {"passive": "silence"})
        self.assertEqual(self.packets(comment="data in"), 0)


if __name__ == "__main__":
    unittest.main()
