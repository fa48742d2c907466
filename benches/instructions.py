"""Instructions a request, counted by callgrind in a larder that runs under it.

Called by benches/instructions: instructions.py LARDER DIRECTORY. Prints a line for each path: its name, a tab, and the
instructions of one request in user space.

What would differ from run to run is kept out. One worker thread and one connection, and a pause before each request until
the worker sleeps again, so that it finds the same every time: woken, one request, one answer, asleep. What larder's own
threads do behind the requests (index, syncs, upkeep) is not counted; when it happens is a matter of the clock. What the kernel
does is not counted either, nor a body that goes out by sendfile. Callgrind's processor has no SHA instructions, so what is
hashed (tokens, signatures) counts more than it costs. Only the standard library.
"""

import hashlib
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sigv4  # noqa: E402 (the path comes first)

# Requests of each path that are counted, in batches of which the third least is taken: what happens now and then, as a timer
# or a table that grows, only adds.
COUNTED, BATCH = 300, 30
# Different objects of each path, and requests before those counted: larder keeps in memory what was read twice.
OBJECTS, WARMING = 16, 50
SECRET = "a-secret-of-the-benchmark"
os.environ |= {"BENCH_KEY": "bench", "BENCH_SECRET": SECRET, "BENCH_REGION": "auto"}
# Valgrind counts a byte copied by `rep movsb` as an instruction, which would make copies of a few KiB outweigh all else; above
# these thresholds glibc uses it, so it is told never to.
COPY_IN_VECTORS = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000"
# Much longer than the worker needs from an answer to its sleep, also at callgrind's speed.
PAUSE_SECONDS = 0.002


class Wrong(Exception):
    """An answer that makes the numbers worthless."""


class Server:
    """A larder under callgrind, with what asks callgrind for its counts."""

    def __init__(self, program, directory):
        self.port = free_port()
        self.own = set()
        os.makedirs(directory)
        with open(f"{directory}/secret", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as secret:
            secret.write(SECRET)
        with open(f"{directory}/larder.toml", "w") as config:
            config.write(
                f'listen = "127.0.0.1:{self.port}"\ndata_dir = "{directory}/data"\ncapacity = "2GiB"\n'
                f'anonymous = "read-write"\n[tokens.bench]\nsecret_file = "{directory}/secret"\n'
            )
        self.log = f"{directory}/log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/callgrind.out",
                 program, "serve", "--config", f"{directory}/larder.toml"],
                stdout=log, stderr=log, env={**os.environ, "TOKIO_WORKER_THREADS": "1", "GLIBC_TUNABLES": COPY_IN_VECTORS},
            )  # fmt: skip

    def wait_ready(self):
        # Tries are counted and not time: a machine that stands still for a while is no reason to give up.
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                if Connection(self.port).ask(b"GET /-/ready HTTP/1.1\r\nHost: bench\r\n\r\n")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        with open(self.log) as log:
            raise Wrong(f"larder does not get ready under callgrind: {log.read()[-2000:]}")

    def counted(self):
        """Instructions so far in the threads that serve requests."""
        if not self.own:
            self.own = self.own_threads()
        totals = self.ask_valgrind("status", "internal")
        counts = {int(thread): int(count) for thread, count in re.findall(r"(?m)^events-(\d+): (\d+)", totals)}
        if not counts:
            raise Wrong(f"callgrind said no counts: {totals}")
        return sum(count for thread, count in counts.items() if thread not in self.own)

    def own_threads(self):
        """Callgrind's numbers of the threads that larder starts for itself; all others are the runtime's."""
        found = self.ask_valgrind("v.info", "scheduler")
        own = set()
        for thread, process in re.findall(r"Thread (\d+): .*\(lwpid (\d+)\)", found):
            try:
                with open(f"/proc/{self.process.pid}/task/{process}/comm") as name:
                    if name.read().startswith("larder-"):
                        own.add(int(thread))
            except FileNotFoundError:
                pass  # Ended meanwhile, as threads of the runtime do; larder's own stay.
        if not own:
            raise Wrong(f"no thread of larder's own among: {found}")
        return own

    def ask_valgrind(self, *question):
        command = ["vgdb", f"--pid={self.process.pid}", *question]
        # A machine that stands still for a while looks as if nobody answered; every question may be asked again.
        for _ in range(3):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            except subprocess.TimeoutExpired:
                continue
            if done.returncode:
                raise Wrong(f"{' '.join(command)}: {done.stderr or done.stdout}")
            return done.stdout
        raise Wrong(f"{' '.join(command)}: no answer three times")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Connection:
    """One connection, kept; small on purpose."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request):
        """Sends one request in one piece; the status and the body of its answer."""
        self.socket.sendall(request)
        read = b""
        while b"\r\n\r\n" not in read:
            read += self.more()
        head, _, body = read.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
        pieces, missing = [body], int(length[1]) - len(body) if length else 0
        while missing > 0:
            pieces.append(self.more())
            missing -= len(pieces[-1])
        return int(head[9:12]), b"".join(pieces)

    def more(self):
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise Wrong("larder closed the connection")
        return piece


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def key(path, number):
    """As sccache writes them: three levels and 64 digits."""
    digits = hashlib.sha256(f"{path} {number}".encode()).hexdigest()
    return f"{digits[0]}/{digits[1]}/{digits[2]}/{digits}"


def request(method, path, headers=(), body=b""):
    """A whole request in one piece."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in headers)]
    if method == "PUT":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def signed_get(path):
    moment, authorization = sigv4.sign("GET", path, "bench")
    return [("x-amz-content-sha256", sigv4.UNSIGNED), ("x-amz-date", moment), ("Authorization", authorization)]


class Get:
    """Reads OBJECTS objects in turns, each of which has its own bytes."""

    def __init__(self, name, size, prefix="/", headers=lambda path: ()):
        self.name, self.prefix, self.headers = name, prefix, headers
        self.bodies = [os.urandom(size) for _ in range(OBJECTS)]

    def prepare(self, connection):
        self.requests = []
        for number, body in enumerate(self.bodies):
            path = self.prefix + key(self.name, number)
            status, _ = connection.ask(request("PUT", path, (), body))
            if status not in (201, 204):
                raise Wrong(f"{self.name}: its objects cannot be stored: {status}")
            self.requests.append(request("GET", path, self.headers(path)))

    def of(self, number):
        number %= OBJECTS
        return self.requests[number], 200, self.bodies[number]


class Unchanging:
    """Asks for something new each time and gets the same answer."""

    def __init__(self, name, method, status, size=None, headers=()):
        self.name, self.method, self.status, self.headers = name, method, status, headers
        self.body = b"" if size is None else os.urandom(size)

    def prepare(self, connection):
        pass

    def of(self, number):
        path = "/" + key(self.name, number)
        return request(self.method, path, self.headers, self.body), self.status, None


PATHS = [
    Get("GET hit, 1 KB", 1024),
    Get("GET hit, 20 KB", 20480),
    Get("GET hit, 260 KB", 266240),
    Get("GET hit, 1 MB", 1048576),
    Get("GET hit, 1 KB, token", 1024, headers=lambda path: [("Authorization", f"Bearer {SECRET}")]),
    Get("GET hit, 1 KB, session", 1024, headers=lambda path: [("X-Larder-Session", "build-17")]),
    Get("GET hit, 1 KB, signed S3", 1024, "/default/", signed_get),
    Unchanging("GET miss", "GET", 404),
    # What sccache asks of a server when it starts to write, for a directory that is not there.
    Unchanging("PROPFIND, nothing there", "PROPFIND", 404, headers=[("Depth", "0")]),
    Unchanging("PUT, 1 KB", "PUT", 201, 1024),
    Unchanging("PUT, 20 KB", "PUT", 201, 20480),
]


def measure(server, connection, path):
    path.prepare(connection)
    marks = []
    for number in range(WARMING + COUNTED + 1):
        time.sleep(PAUSE_SECONDS)
        if number >= WARMING and (number - WARMING) % BATCH == 0:
            marks.append(server.counted())
        sent, status, body = path.of(number)
        answered, found = connection.ask(sent)
        if answered != status or (body is not None and found != body):
            raise Wrong(f"{path.name}: {answered} and {len(found)} bytes where {status} was due: {found[:300]}")
    batches = sorted((after - before) / BATCH for before, after in zip(marks, marks[1:]))
    return batches[2]


def main():
    server = Server(sys.argv[1], sys.argv[2])
    try:
        server.wait_ready()
        connection = Connection(server.port)
        for path in PATHS:
            print(f"{path.name}\t{measure(server, connection, path):.0f}", flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    try:
        main()
    except Wrong as error:
        sys.exit(f"benches/instructions.py: {error}")
