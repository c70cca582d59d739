"""Allow-lists: a program speaks to whom its list names and to nobody else, learns no other name, and what it may not do can be asked for."""

import json
import os
import signal
import time
import unittest
from pathlib import Path

from lab.namespace import Namespace
from lab.process import Running
from skerry_case import Rootless, SkerryCase, needs, needs_root

HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"
READY = "ready"
# Addresses of the Internet, which are those of a namespace's loopback here.
ALLOWED, OTHER = "93.184.215.14", "93.184.215.15"
NAME_SERVER = ("127.0.0.1", "5300")
REFUSED = "EHOSTUNREACH"

# Listens at the ports that it is given, TCP and UDP, and answers with the port's number.
SERVER = """
import selectors, socket, sys
ports = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", port))
    for each in (socket.create_server(("0.0.0.0", port)), datagrams):
        ports.register(each, selectors.EVENT_READ, port)
print("ready", flush=True)
while True:
    for key, _ in ports.select():
        if key.fileobj.type == socket.SOCK_DGRAM:
            key.fileobj.sendto(str(key.data).encode(), key.fileobj.recvfrom(100)[1])
            continue
        connection, _ = key.fileobj.accept()
        connection.sendall(str(key.data).encode())
        connection.close()
"""

# Tries each line of its input, "tcp HOST PORT", "udp HOST PORT", "bind HOST PORT", "name HOST", "icmp HOST" or "raw HOST", or "child" and
# one of these, and prints what came of it.
CLIENT = """
import errno, os, socket, sys
errors = {getattr(socket, word): word for word in dir(socket) if word.startswith("EAI_")}
def attempt(kind, host, port="0"):
    if kind == "name":
        return socket.gethostbyname(host)
    if kind in ("icmp", "raw"):
        return socket.socket(socket.AF_INET, socket.SOCK_RAW if kind == "raw" else socket.SOCK_DGRAM, socket.IPPROTO_ICMP).connect((host, 0))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as asked:
        asked.settimeout(20)
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if kind == "bind":
            asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return asked.bind((host, int(port)))
        asked.connect((host, int(port)))
        if kind == "udp":
            asked.send(b"x")
        return asked.recv(100).decode()
def outcome(*words):
    try:
        return attempt(*words)
    except socket.gaierror as error:
        return errors[error.errno]
    except TimeoutError:
        return "silence"
    except OSError as error:
        return errno.errorcode[error.errno]
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] != "child" or os.fork() == 0:
        print(line.strip(), "->", outcome(*words[words[0] == "child":]), flush=True)
        if words[0] == "child":
            os._exit(0)
    else:
        os.wait()
"""


class AllowCase(SkerryCase):
    def client(self, *options, script=CLIENT):
        """A program that tries what it is told to."""
        pipe = os.pipe()
        self.client_input = os.fdopen(pipe[1], "w", buffering=1)
        self.addCleanup(self.client_input.close)
        with os.fdopen(pipe[0]) as stdin:
            self.program = self.skerry.begin("run", *options, "--name", "client", "--", PYTHON, "-c", script, stdin=stdin)
        self.program.wait_for(READY, timeout_s=20)

    def tries(self, *what):
        """What came of each."""
        said = []
        for line in what:
            before = self.program.output().count(f"{line} -> ")
            self.client_input.write(line + "\n")
            self.wait_until(lambda line=line, before=before: self.program.output().count(f"{line} -> ") > before and
                            self.program.output().endswith("\n"), self.program)
            word = next(row for row in reversed(self.program.output().splitlines()) if row.startswith(line + " -> ")).split(" -> ")[1]
            # The next call after a datagram was refused says so; that may be the one that sent it.
            said.append(REFUSED if word == "EPERM" and "udp" in line else word)
        return said

    def pid_of(self, process):
        return next(row["pid"] for row in self.skerry.processes() if row["name"] == process)

    def why(self, text):
        self.skerry.begin("why", "client").wait_for(text, timeout_s=20)


class InTheNetwork(AllowCase):
    """Names that the composition gives, and addresses: nobody is asked."""

    def setUp(self):
        super().setUp()
        self.serve(PYTHON, "-c", SERVER, "80", "81", ready=READY, options=("--uplink", "none", "--name", "db"))

    def test_a_program_by_its_name(self):
        self.client("--uplink", "none", "--allow", "DB:80")
        self.assertEqual(self.tries("tcp db 80", "tcp 10.77.0.2 80", "tcp db 81", "udp db 80"), ["80", "80", REFUSED, REFUSED])
        self.why("10.77.0.2:81, 60 bytes  inet skerry_allow out handle")

    def test_an_address_and_a_protocol(self):
        self.client("--uplink", "none", "--allow", "10.77.0.2:80/udp", "--allow", "10.77.0.2:81")
        self.assertEqual(self.tries("udp 10.77.0.2 80", "tcp db 80", "tcp db 81"), ["80", REFUSED, "81"])

    def test_no_other_way_to_say_it_leads_further(self):
        """Another family, another process, everybody, a name server, the resolver's own place."""
        self.client("--uplink", "none", "--address", "10.77.0.4", "--allow", "db:80")
        self.assertEqual(self.tries("tcp ::ffff:10.77.0.2 80", "child tcp db 80", "tcp DB 80"), ["80"] * 3)
        self.assertEqual(self.tries("tcp ::ffff:10.77.0.2 81", "udp ::ffff:10.77.0.2 81", "child tcp db 81", "child udp db 80", "tcp DB 81", "udp 10.77.0.2 53",
                                    "tcp 10.77.0.1 53", "udp 10.77.255.255 80", "udp 255.255.255.255 80"), [REFUSED] * 9)
        self.assertEqual(self.tries("udp 224.0.0.1 80"), ["ENETUNREACH"])  # no stack sends to many
        self.assertEqual(self.tries("icmp 10.77.0.2", "raw 10.77.0.2"), ["EPERM"] * 2)  # what no stack has, the kernel's socket does not replace
        self.assertEqual(self.tries("tcp 127.0.0.53 53", "udp 127.0.0.53 54"), ["ECONNREFUSED"] * 2)
        self.assertEqual(self.tries("bind 0.0.0.0 53", "bind 127.0.0.53 53", "bind 10.77.0.4 53"), ["EADDRINUSE", "EADDRINUSE", "None"])

    def test_names_that_are_not_listed_are_none(self):
        self.client("--uplink", "none", "--allow", "db:80")
        self.assertEqual(self.tries("name secret.example.org", "name db"), ["EAI_NONAME", "10.77.0.2"])
        self.why("refuse  names  name secret.example.org  it is not on the allow-list")

    def test_a_filter_holds_beside_it(self):
        rules = self.folder / "mine.nft"
        rules.write_text("table inet mine {\n  chain out {\n    type filter hook output priority 0; policy accept;\n"
                         "    tcp dport 81 reject with tcp reset\n  }\n}\n")
        self.client("--uplink", "none", "--allow", "db:80", "--allow", "db:81", "--filter", str(rules))
        self.assertEqual(self.tries("tcp db 80", "tcp db 81", "udp db 80"), ["80", "ECONNREFUSED", REFUSED])
        self.why("mine.nft:4")

    def test_other_rules_leave_it(self):
        self.client("--uplink", "none", "--allow", "db:80")
        other = self.folder / "other.nft"
        other.write_text("table inet other {\n  chain in { type filter hook input priority 0; policy accept; }\n}\n")
        self.skerry.command("filter", "load", "client", other)
        rows = json.loads(self.skerry.command("filter", "list", "client", "--json")[1])["rows"]
        self.assertEqual({row["table"] for row in rows}, {"inet other", "inet skerry_allow"})
        self.assertEqual(self.tries("tcp db 80", "tcp db 81"), ["80", REFUSED])

    def test_who_connects_to_the_program(self):
        self.client("--uplink", "none", "--address", "10.77.0.4", "--allow", "db:80", "--allow", ":82",
                    script=SERVER.replace("sys.argv[1:]", '("82", "83")'))
        one = ("import socket\nfor port in (82, 83):\n    try: print(socket.create_connection(('10.77.0.4', port), 3).recv(10))\n"
               "    except OSError as error: print(error)\n")
        self.assertEqual(self.ask(PYTHON, "-c", one), "b'82'\ntimed out\n")
        self.why("inet skerry_allow in policy")

    def test_a_composition(self):
        """Its own network, so the server is its own too."""
        (self.folder / "server.py").write_text(SERVER)
        ask = "\n".join(("import signal, socket, time", "for port in (80, 81):", "    while True:",
                         "        try: print(socket.create_connection(('store', port), 20).recv(10), flush=True)",
                         "        except ConnectionRefusedError: time.sleep(0.05); continue",
                         "        except OSError as error: print(error.strerror, flush=True)", "        break", "signal.pause()"))
        (self.folder / "ask.py").write_text(ask)
        (self.folder / "allowed.toml").write_text(
            f'[network.lan]\nsubnet = "10.78.0.0/24"\n[program.client]\nrun = ["{PYTHON}", "ask.py"]\nallow = ["store:80"]\nrestart = "on-failure"\n'
            f'stdout = "said"\n[program.store]\nrun = ["{PYTHON}", "server.py", "80", "81"]\n')
        composition = self.skerry.begin("up", self.folder / "allowed.toml")
        said = self.folder / "said"
        self.wait_until(lambda: said.exists() and said.read_text().count("\n") == 2, composition)
        self.assertEqual(said.read_text(), "b'80'\nNo route to host\n")
        # With a stack that is another, and a resolver that is.
        for process in ("client.resolver", "client.stack"):
            os.kill(self.pid_of(process), signal.SIGKILL)
        self.wait_until(lambda: said.read_text().count("\n") == 4, composition)
        self.assertEqual(said.read_text(), "b'80'\nNo route to host\n" * 2)
        composition.stop(signal.SIGINT)


@needs_root("to have a network with names of its own")
@needs("passt", "curl")
class ByName(AllowCase, Rootless):
    def before(self):
        self.host = self.enterContext(Namespace())
        self.host.run("ip", "link", "set", "lo", "up")
        for address in (ALLOWED, OTHER):
            self.host.run("ip", "address", "add", address, "dev", "lo")
        return self.host.inside()

    def setUp(self):
        super().setUp()
        self.zone({"api.example.org": [ALLOWED], "short.example.org": {"alias": "api.example.org"}, "secret.example.org": [OTHER],
                   "inside.example.org": ["127.0.0.1", "10.0.0.1", "169.254.169.254"], "forged.example.org": {"forged": [OTHER]},
                   "mixed.example.org": ["192.168.0.1", OTHER]})
        self.names = self.on_host(str(HERE / "name_server.py"), *NAME_SERVER, str(self.folder / "zone.json"))
        self.on_host("-c", SERVER, "80", "81")

    def zone(self, names):
        fresh = self.folder / "fresh.json"
        fresh.write_text(json.dumps(names))
        fresh.rename(self.folder / "zone.json")

    def on_host(self, *words, ready=READY):
        program = self.enterContext(Running([*self.host.inside(), PYTHON, *words]))
        program.wait_for(ready, timeout_s=20)
        return program

    def allow(self, *names, script=CLIENT):
        self.client("--uplink", "user", "--resolver", ":".join(NAME_SERVER), *(word for name in names for word in ("--allow", name)), script=script)

    def asked(self):
        """The names that the name server heard, and the kinds of records."""
        return {tuple(line.lower().split()[1:]) for line in self.names.output().splitlines() if line.startswith("asked ")}

    def heard(self, name):
        """How often the name server was asked for its addresses."""
        return sum(line.lower() == f"asked {name} 1" for line in self.names.output().splitlines())

    def test_an_allowed_name_and_nothing_else(self):
        self.allow("api.example.org:80", "short.example.org:81", "mixed.example.org:80/udp")
        self.assertEqual(self.tries("tcp api.example.org 80", "tcp short.example.org 81", "udp mixed.example.org 80"), ["80", "81", "80"])
        self.assertEqual(self.tries("tcp mixed.example.org 80", f"tcp {OTHER} 80", "udp api.example.org 80", "tcp 10.77.0.1 80"), [REFUSED] * 4)
        self.assertEqual(self.tries("name secret.example.org", "name x.api.example.org", "name api.example.org"), ["EAI_NONAME", "EAI_NONAME", ALLOWED])
        self.assertEqual(self.tries(f"udp {NAME_SERVER[0]} {NAME_SERVER[1]}", "udp 10.77.0.1 53", f"udp {OTHER} 53", f"tcp ::ffff:{OTHER} 80"),
                         ["ECONNREFUSED", REFUSED, REFUSED, REFUSED])
        self.assertEqual(self.tries("tcp API.Example.ORG 80", "tcp api.example.org. 80", f"tcp ::ffff:{ALLOWED} 80"), ["80"] * 3)
        self.assertEqual(self.asked(), {("api.example.org", "1"), ("short.example.org", "1"), ("mixed.example.org", "1")})
        self.why(f"{OTHER}:80, 60 bytes  inet skerry_allow out handle")
        self.why("refuse  names  name secret.example.org")
        counters = self.skerry.counters("client.stack")
        self.assertGreaterEqual(counters["names.answered"], 5)
        self.assertEqual(counters["names.faults"], 0)
        self.assertGreaterEqual(self.skerry.counters("client.resolver")["questions"], 3)

    def test_before_its_name_is_asked_for_an_address_is_not_allowed(self):
        self.allow("api.example.org:80")
        self.assertEqual(self.tries(f"tcp {ALLOWED} 80", "name api.example.org", f"tcp {ALLOWED} 80"), [REFUSED, ALLOWED, "80"])

    def test_a_name_that_leads_inside_leads_nowhere(self):
        self.allow("inside.example.org:80", "mixed.example.org:80")
        self.assertEqual(self.tries("name inside.example.org", "name mixed.example.org", "tcp 10.0.0.1 80", "tcp 192.168.0.1 80"),
                         ["EAI_NODATA", OTHER, REFUSED, REFUSED])
        self.why("refuse  names  name inside.example.org  it leads to no address of the Internet")

    def test_a_forged_answer_is_none(self):
        self.allow("forged.example.org:80")
        self.assertEqual(self.tries("name forged.example.org", f"tcp {OTHER} 80"), ["EAI_NONAME", REFUSED])

    def test_without_a_way_to_its_name_server_a_program_runs(self):
        self.client("--uplink", "user", "--resolver", "9.9.9.9", "--allow", "api.example.org:80", "--allow", f"{OTHER}:80")
        self.assertEqual(self.tries(f"tcp {OTHER} 80", "name api.example.org"), ["80", "EAI_AGAIN"])
        log, = Path(self.skerry.folder.name).rglob("log")
        self.assertIn("client.resolver: no way leads to the name server 9.9.9.9:53", log.read_text())
        self.why("refuse  names  name api.example.org  no name server has an answer")

    def test_a_resolver_comes_back(self):
        self.allow("api.example.org:80", "short.example.org:81")
        self.assertEqual(self.tries("tcp api.example.org 80"), ["80"])
        first = self.pid_of("client.resolver")
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while self.pid_of("client.resolver") in (0, -1, first):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        # It asks for all names, because it does not know which ones the program speaks to.
        self.wait_until(lambda: self.heard("api.example.org") >= 2 and self.heard("short.example.org") >= 1, self.names)
        self.wait_until(lambda: self.skerry.counters("client.resolver")["answers"] >= 2, self.program)
        self.assertEqual(self.tries(f"tcp {ALLOWED} 81"), ["81"])
        self.assertEqual(self.tries("tcp short.example.org 81", "tcp api.example.org 80"), ["81", "80"])

    def test_a_connection_outlives_its_name(self):
        """Whoever speaks already may go on when nobody renews what was allowed."""
        hold = "import socket\ns = socket.create_server(('0.0.0.0', 82))\nprint('ready', flush=True)\nc, _ = s.accept()\nwhile data := c.recv(100): c.sendall(data)\n"
        self.on_host("-c", hold)
        talk = ("import errno, socket, sys\ns = socket.create_connection(('api.example.org', 82), 20)\nprint('ready', flush=True)\n"
                "def another():\n"
                f"    try: return socket.create_connection(('{ALLOWED}', 82), 20)\n    except OSError as error: return errno.errorcode[error.errno]\n"
                "for line in sys.stdin:\n"
                "    if line == 'another\\n':\n        print('another ->', another(), flush=True)\n        continue\n"
                "    s.sendall(line.encode())\n    print(line.strip(), '->', s.recv(100).decode().strip(), flush=True)\n")
        self.allow("api.example.org:82", script=talk)
        self.assertEqual(self.tries("hello"), ["hello"])
        self.zone({})
        self.skerry.command("filter", "delete", "element", "client", "inet", "skerry_allow", "allowed", f"{{ tcp . {ALLOWED} . 82 }}")
        self.assertEqual(self.tries("another", "and again"), [REFUSED, "and again"])

    def test_a_host_that_moves_keeps_its_names(self):
        """The resolver's socket keeps the address that the host had; another one has that which it has now."""
        way = ("ip", "route", "replace", "local", "127.0.0.1", "dev", "lo", "table", "local", "src")
        self.host.run("ip", "address", "add", "10.5.0.2/32", "dev", "lo")
        self.host.run(*way, "10.5.0.2")
        self.allow("api.example.org:80", "short.example.org:81")
        self.assertEqual(self.tries("tcp api.example.org 80"), ["80"])
        self.host.run("ip", "address", "delete", "10.5.0.2/32", "dev", "lo")
        self.host.run(*way, "127.0.0.1")
        deadline = time.monotonic() + 90
        while self.tries("name short.example.org") != [ALLOWED]:
            self.assertLess(time.monotonic(), deadline)
        resolver, = (row for row in self.skerry.processes() if row["name"] == "client.resolver")
        self.assertEqual((resolver["restarts"], resolver["state"]), (1, "running"))
        self.assertEqual(self.tries("tcp short.example.org 81"), ["81"])

    def test_a_killed_supervisor_opens_nothing(self):
        """Nobody is left who could speak: the program, its stack and its way out end with it."""
        reached = self.on_host("-c", "import socket\ns = socket.create_server(('0.0.0.0', 82))\nprint('ready', flush=True)\n"
                                     "while True:\n    c, _ = s.accept()\n    print('reached', c.getsockname()[0], flush=True)\n    c.close()\n")
        knock = ("import socket\nprint('ready', flush=True)\nwhile True:\n"
                 f"    for host in ('api.example.org', '{OTHER}'):\n        try: socket.create_connection((host, 82), 20).close()\n        except OSError: pass\n")
        self.allow("api.example.org:82", script=knock)
        self.wait_until(lambda: reached.output().count(f"reached {ALLOWED}") > 3, self.program)
        supervisor, = (pid for pid in self.skerry.left_behind() if Path(f"/proc/{pid}/comm").read_text().startswith("skerry-supervi"))
        os.kill(supervisor, signal.SIGKILL)
        self.program.wait(timeout_s=60)
        self.skerry.wait_until_gone()
        self.assertNotIn(f"reached {OTHER}", reached.output())

    def test_curl(self):
        self.on_host("-u", "-m", "http.server", "--directory", str(self.folder), "8080", ready="Serving")
        curl = ("curl", "--silent", "--show-error", "--max-time", "30", "--output", "/dev/null")
        options = ("--uplink", "user", "--resolver", ":".join(NAME_SERVER), "--allow", "api.example.org:8080")
        self.skerry.command("run", *options, "--", *curl, "http://api.example.org:8080/zone.json")
        for url, status in (("http://secret.example.org:8080/", 6), (f"http://{OTHER}:8080/", 7)):
            code, output = self.skerry.command("run", *options, "--", *curl, url, check=False)
            self.assertEqual(code, status, output)


if __name__ == "__main__":
    unittest.main()
