"""Jobs forked from one process behave as processes of their own: output, status, signals, kills, surroundings."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairshrink.planning import warm

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks of one process are used on Linux alone")
PATIENCE_S = 600
"""Only to end a test that hangs."""
CLIENT = """
import sys
from fairshrink.planning import warm
status = warm.ask(1)
if status is not None:
    sys.exit(status)
import pathlib
exec(pathlib.Path("work.py").read_text())
"""


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def environment(**more: str) -> dict[str, str]:
    """As Snakemake gives it to a job of one thread."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAIRSHRINK", "PYTEST"))}
    return kept | dict.fromkeys(warm.THREADS, "1") | {"PYTHONPATH": str(ROOT)} | more


@pytest.fixture
def server(tmp_path):
    """A process that forks; `random` stands for its large libraries."""
    process = warm.start(tmp_path / "warm.socket", 1, libraries=("random",), environment=environment())
    yield process
    warm.stop(process)
    process.wait(PATIENCE_S)


@pytest.fixture
def start(server, tmp_path):
    """Starts a job that executes some lines, in a folder of its own; a job says where it runs by its parent."""
    started = []

    def start(work: str, **variables: str) -> subprocess.Popen[str]:
        folder = tmp_path / f"job{len(started)}"
        folder.mkdir()
        (folder / "client.py").write_text(CLIENT)
        (folder / "work.py").write_text(work)
        (folder / "mine.py").write_text(f"NAME = {folder.name!r}\n")
        started.append(
            subprocess.Popen(
                [sys.executable, "client.py", "an argument"],
                cwd=folder,
                env=environment(FAIRSHRINK_WARM=str(tmp_path / "warm.socket")) | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def test_a_job_runs_in_a_fork_with_its_own_folder_arguments_environment_and_output(start, server):
    work = (
        "import os, sys, mine\n"
        "print(os.getppid(), mine.NAME, sys.argv[1], os.environ['PWD'], 'FAIRSHRINK_WARM' in os.environ, sep='|')\n"
        "print('trouble', file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    jobs = {place: start(work, PWD=place) for place in ("here", "there")}
    for number, (place, job) in enumerate(jobs.items()):
        out, err = job.communicate()
        assert out == f"{server.pid}|job{number}|an argument|{place}|False\n"
        assert err == "trouble\n"
        assert job.returncode == 7


@pytest.mark.parametrize(
    "variables", [{"OMP_NUM_THREADS": "2"}, {"HF_ENDPOINT": "http://elsewhere"}, {"CUDA_VISIBLE_DEVICES": "1"}]
)
def test_what_libraries_may_have_read_when_they_were_imported_must_be_the_same(start, variables):
    job = start("import os; print(os.getppid())", **variables)
    out, err = job.communicate()
    assert int(out) == os.getpid()
    assert err == f"started by itself: other values of {next(iter(variables))}\n"
    assert job.returncode == 0


def test_other_threads_and_another_interpreter_are_refused(server, tmp_path):
    with Path(os.devnull).open("r+") as nothing:
        files = (nothing.fileno(),) * 3
        given = (str(tmp_path / "warm.socket"), ["work.py"], sys.path, environment())
        assert warm.exchange(*given, 2, tmp_path, files) == (None, "2 threads instead of 1")
        (tmp_path / "work.py").write_text("")
        assert warm.exchange(*given, 1, tmp_path, files) == (0, "")


def test_an_exception_ends_a_job_as_ever(start):
    job = start("raise OSError('an accident')")
    err = job.communicate()[1]
    assert job.returncode == 1
    assert err.rstrip().endswith("OSError: an accident")
    again = start("print('the next one')")
    assert again.communicate() == ("the next one\n", "")


SLEEP = """
import os, signal, sys, time
def stop(number, frame):
    print("cleared away", flush=True)
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_sigterm_reaches_the_fork_and_its_answer_is_awaited(start, server):
    job = start(SLEEP)
    pid = int(job.stdout.readline())
    assert pid != job.pid
    job.terminate()
    out, _ = job.communicate()
    assert out == "cleared away\n"
    assert job.returncode == 128 + signal.SIGTERM
    assert not alive(pid)


def test_killing_the_process_of_a_job_kills_its_fork_and_nothing_else(start):
    first, second = start(SLEEP), start(SLEEP)
    pids = [int(each.stdout.readline()) for each in (first, second)]
    first.kill()
    wait_for(lambda: not alive(pids[0]))
    assert alive(pids[1])
    second.terminate()
    assert second.communicate()[0] == "cleared away\n"


def test_a_fork_that_is_killed_ends_its_job_by_that_signal(start):
    job = start(SLEEP)
    os.kill(int(job.stdout.readline()), signal.SIGKILL)
    job.communicate()
    assert job.returncode == -signal.SIGKILL


def test_without_the_process_that_forks_jobs_start_by_themselves(start, server):
    job = start(
        "import os, time\n"
        "print(os.getppid(), os.getpid(), flush=True)\n"
        f"time.sleep(600 if os.getppid() == {server.pid} else 0)\n"
    )
    parent, pid = map(int, job.stdout.readline().split())
    assert parent == server.pid
    server.kill()
    wait_for(lambda: not alive(pid))
    out, err = job.communicate()
    assert int(out.split()[0]) == os.getpid()
    assert err == "started by itself: the process that forks jobs is gone\n"
    assert job.returncode == 0
    later = start("print('done')")
    out, err = later.communicate()
    assert out == "done\n"
    assert err.startswith("started by itself: ")


def test_it_ends_with_the_run_after_its_last_job(start, server, tmp_path):
    job = start(SLEEP)
    pid = int(job.stdout.readline())
    server.stdin.close()
    wait_for(lambda: "refused" in start("print(1)").communicate()[1])
    assert server.poll() is None
    assert alive(pid)
    job.terminate()
    assert job.communicate()[0] == "cleared away\n"
    assert server.wait(PATIENCE_S) == 0
    assert not (tmp_path / "warm.socket").exists()


def test_peak_memory_is_that_of_one_job(start):
    use = "import resource; r = resource.getrusage(resource.RUSAGE_SELF); print(r.ru_maxrss // 1024)"
    large = start(f"x = b'1' * 300_000_000\n{use}")
    peak = int(large.communicate()[0])
    small = start(use)
    assert peak > 250
    assert int(small.communicate()[0]) < 100
