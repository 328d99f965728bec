"""One import of the large libraries for all local jobs of a run.

A job of a small study computes for a second and imports torch and transformers for five. So the main process of a run
starts one process that imports them once and then forks a child for each job. The process of the job itself
(`scripts/*.py`) hands over its command line, environment and open files, waits, and ends as the child ends.

- The child runs the job's own script from the start; nothing of this project is imported before it.
- A job is taken only if its interpreter, environment and number of threads are those that the libraries were imported
  with. Otherwise, and whenever anything else goes wrong here, it starts by itself and says so in its log.
- SIGTERM is passed on. A job's process that is killed takes its child along, and so does the process that forks.
- The process that forks ends with the run: its standard input is a pipe from there.
- It never initializes a GPU and runs no computation. Jobs that use a GPU start by themselves (`planning/workflow.py`).

This file runs as a script and imports nothing of the package.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "FAIRSHRINK_WARM"
"""Names the socket of the process that forks, for the processes of jobs."""
STAGES = ("finetune", "compress", "evaluate", "aggregate")
"""What a run forks jobs for; the others import little."""
LIBRARIES = (
    "pandas",
    "pyarrow.parquet",
    "pydantic.main",  # `pydantic` alone imports next to nothing
    "pydantic.dataclasses",
    "yaml",
    "torch",
    "safetensors.torch",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    # What the usual models load late, with all that generates text.
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
    "matplotlib.pyplot",
)
THREADS = tuple(f"{name}_NUM_THREADS" for name in ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR"))
THREADS += ("VECLIB_MAXIMUM_THREADS",)
"""What Snakemake sets for a job's threads, to which numerical libraries listen when they are loaded."""
HARMLESS = {VARIABLE, "FAIRSHRINK_PLAN", "PYTHONPATH", "PATH", "PWD", "OLDPWD", "SHLVL", "_", "TOKENIZERS_PARALLELISM"}
HARMLESS |= {"TMPDIR", "TMP", "TEMP", "TEMPDIR"}
"""Variables that are not read when a library is imported, or are handed over in another way."""
PATIENCE_S = 60
"""A process that has asked for a fork and sends nothing for so long is given up."""
_LENGTH = struct.Struct("!I")
_TERMINATE = b"T"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


# ---- the main process of a run ------------------------------------------------------------------------------------


def start(
    path: Path,
    threads: int,
    libraries: Sequence[str] = LIBRARIES,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes] | None:
    """Start the process that forks, with a socket at ``path``; None where this system cannot do it.

    It ends when its standard input is closed, at the latest when this process ends. ``environment`` (by default this
    process's) and ``threads`` are those of the jobs to come.
    """
    if sys.platform != "linux":
        return None
    settings = dict.fromkeys(THREADS, str(threads)) | {"TOKENIZERS_PARALLELISM": "false"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, path.with_suffix(".log").open("wb") as log:
            before = os.umask(0o077)  # nobody else may have things run here
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
            listener.listen(128)
            return subprocess.Popen(
                # -P: the modules beside this file are not on the path
                [sys.executable, "-P", __file__, str(listener.fileno()), str(path), *libraries],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                env=dict(os.environ if environment is None else environment) | settings,
            )
    except OSError:
        path.unlink(missing_ok=True)
        return None


def stop(process: subprocess.Popen[bytes]) -> None:
    """Let the process that forks end; jobs that it still has are finished first."""
    if process.stdin:
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)


# ---- the process of a job -----------------------------------------------------------------------------------------


def ask(threads: int | None) -> int | None:
    """Have this process's command line run in a fork: its exit status. None: run it here.

    Ends this process by the same signal where one has ended the fork.
    """
    path = os.environ.get(VARIABLE)
    if not path or threads is None:
        return None
    status, reason = exchange(path, sys.argv, sys.path, os.environ, threads, Path.cwd(), (0, 1, 2))
    if status is None:
        print(f"started by itself: {reason}", file=sys.stderr, flush=True)
    elif status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def exchange(
    socket_path: str,
    argv: Sequence[str],
    path: Sequence[str],
    environment: Mapping[str, str],
    threads: int,
    folder: Path,
    descriptors: tuple[int, int, int],
) -> tuple[int | None, str]:
    """Have a script run: its exit status (negative: the signal that ended it); or None, and why it was not run.

    ``argv`` begins with the script; ``path`` becomes sys.path; ``descriptors`` become standard input, output and error.
    """
    request = {"argv": list(argv), "path": list(path), "environment": dict(environment), "folder": str(folder)}
    payload = json.dumps(request | {"threads": threads} | _identity()).encode()
    received = b""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(socket_path)
            socket.send_fds(connection, [_LENGTH.pack(len(payload))], descriptors)
            connection.sendall(payload)
            # After the handler Python goes on waiting: when a job ends is the child's decision.
            before = signal.signal(signal.SIGTERM, lambda *_: connection.send(_TERMINATE))
            try:
                while chunk := connection.recv(4096):
                    received += chunk
            finally:
                signal.signal(signal.SIGTERM, before)
    except OSError as error:
        return None, str(error)
    what, _, rest = received.decode().partition(" ")
    return (int(rest), "") if what == "ended" else (None, rest or "the process that forks jobs is gone")


def _identity() -> dict[str, Any]:
    """What must be the same on both sides."""
    return {"executable": sys.executable, "prefix": sys.prefix, "version": sys.version}


# ---- the process that forks ---------------------------------------------------------------------------------------


@dataclass
class Child:
    """A forked job: its process and the connection to the process that asked for it."""

    number: int
    descriptor: int
    connection: socket.socket


class Server:
    """Forks a child for each connection until standard input is closed and the last child has ended.

    In a child ``job`` is what it was forked for, and `serve` returns at once.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, Child] = {}
        self.selector.register(listener, selectors.EVENT_READ, self.accept)
        self.selector.register(0, selectors.EVENT_READ, self.run_ended)
        self.open = True
        self.job: dict[str, Any] | None = None

    def serve(self) -> dict[str, Any] | None:
        """Until the run has ended (None), or in a child its job."""
        while self.open or self.children:
            for key, _ in self.selector.select():
                if key.fd in self.selector.get_map():  # not dropped meanwhile
                    key.data()
                if self.job:
                    return self.job
        return None

    def run_ended(self) -> None:
        """Standard input can be read: the main process has closed it, or is no more."""
        if os.read(0, 1):
            return
        self.selector.unregister(0)
        self.selector.unregister(self.listener)
        self.listener.close()
        self.open = False

    def accept(self) -> None:
        """A process of a job asks."""
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE_S)
        descriptors: list[int] = []
        try:
            request, descriptors = _receive(connection)
            reason = _mismatch(request)
            if reason:
                connection.sendall(f"refused {reason}".encode())
            else:
                self.fork(request, descriptors, connection)
                return
        except (OSError, ValueError, KeyError) as error:
            print(f"not understood: {error!r}", file=sys.stderr, flush=True)
        finally:
            for each in descriptors:
                os.close(each)
        connection.close()

    def fork(self, request: dict[str, Any], descriptors: list[int], connection: socket.socket) -> None:
        """A child for the job."""
        parent = os.getpid()
        number = os.fork()
        if number == 0:
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            for standard, descriptor in enumerate(descriptors):
                os.dup2(descriptor, standard)
            # What a child held open would look alive to the other side after this process has ended.
            self.selector.close()
            for each in (self.listener, connection, *(child.connection for child in self.children.values())):
                each.close()
            for child in self.children.values():
                os.close(child.descriptor)
            self.job = request
            return
        child = Child(number, os.pidfd_open(number), connection)
        self.children[number] = child
        self.selector.register(child.descriptor, selectors.EVENT_READ, lambda: self.ended(child))
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.heard(child))

    def ended(self, child: Child) -> None:
        """Tell how; negative: by which signal."""
        status = os.waitstatus_to_exitcode(os.waitpid(child.number, 0)[1])
        with contextlib.suppress(OSError):
            child.connection.sendall(f"ended {status}".encode())
        self.drop(child)

    def heard(self, child: Child) -> None:
        """SIGTERM to pass on; or the process of the job is no more."""
        try:
            message = child.connection.recv(64)
        except OSError:
            message = b""
        if message:
            os.kill(child.number, signal.SIGTERM)
            return
        os.kill(child.number, signal.SIGKILL)
        os.waitpid(child.number, 0)
        self.drop(child)

    def drop(self, child: Child) -> None:
        """Forget a child that has ended."""
        for each in (child.descriptor, child.connection):
            self.selector.unregister(each)
        os.close(child.descriptor)
        child.connection.close()
        del self.children[child.number]


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, descriptors, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
    try:
        (length,) = _LENGTH.unpack(head)
        payload = b""
        while len(payload) < length:
            chunk = connection.recv(length - len(payload))
            if not chunk:
                raise ValueError("half a request")
            payload += chunk
        if len(descriptors) != 3:
            raise ValueError(f"{len(descriptors)} open files instead of 3")
        return json.loads(payload), list(descriptors)
    except (OSError, ValueError, struct.error):
        for each in descriptors:
            os.close(each)
        raise


def _mismatch(request: dict[str, Any]) -> str:
    """Why the libraries imported here might behave otherwise than in a process of the job's own; "" if they do not."""
    for name, mine in _identity().items():
        if request[name] != mine:
            return f"{name} {request[name]!r} instead of {mine!r}"
    if str(request["threads"]) != os.environ["OMP_NUM_THREADS"]:
        return f"{request['threads']} threads instead of {os.environ['OMP_NUM_THREADS']}"
    theirs, ours = ({k: v for k, v in each.items() if k not in HARMLESS} for each in (request["environment"], _before))
    different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    return f"other values of {', '.join(different)}" if different else ""


_before: dict[str, str] = {}
"""The environment in which this process started."""


def become(job: dict[str, Any]) -> None:
    """In a child: run the job's script as if this process had been started for it."""
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update({name: value for name, value in job["environment"].items() if name != VARIABLE})
    tempfile.tempdir = None  # a library may have asked while it was imported
    sys.argv[:], sys.path[:] = job["argv"], job["path"]
    runpy.run_path(sys.argv[0], run_name="__main__")


def main() -> None:
    """Import, then fork as long as the run lasts."""
    # Ctrl-C reaches the children too, and this process ends with the run.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    _before.update(os.environ)
    gc.disable()
    for each in sys.argv[3:]:
        importlib.import_module(each)
    gc.freeze()  # what is imported stays: no child looks through it for garbage, which would also copy its memory
    gc.enable()
    job = Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    if job:
        signal.signal(signal.SIGINT, interrupt)
        become(job)
    else:
        Path(sys.argv[2]).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
