"""`typedgator demo`, end to end: real processes, a real kill, and totals that another program confirms."""

import os
import re
import signal
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

PATIENCE = 100


def run_demo(tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Runs the demo with its temporary files below `tmp_path`."""
    scratch = tmp_path / "scratch #1"
    scratch.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("TYPEDGATOR_", "FORCE_COLOR"))}
    return subprocess.run(
        [sys.executable, "-m", "typedgator", "demo", *args],
        # A user's own settings are no business of the demo's.
        env={**env, "TMPDIR": str(scratch), "TYPEDGATOR_ASYNC": "false", "TYPEDGATOR_NAMESPACE": "mine"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """What folders have: other encodings, binaries, broken scripts, names that are no text, dead links, pipes."""
    folder = tmp_path / "odd"
    (folder / "inner" / "__pycache__").mkdir(parents=True)
    (folder / "inner" / "__pycache__" / "skipped.pyc").write_bytes(b"x")
    (folder / "good.py").write_text("def f():\n    def g(): ...\n\nasync def h(): ...\n\nclass C: ...\n")
    (folder / "inner" / "latin.py").write_bytes("# coding: latin-1\ndef é(): ...\n".encode("latin-1"))
    (folder / "inner" / "nul.py").write_bytes(b"a\0b")
    (folder / "empty.py").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 50)
    (folder / "no newline").write_text("one\ntwo")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.txt")).write_text("name\n")
    (folder / "dangling.py").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.py")
    return folder


@pytest.mark.timeout(PATIENCE + 20)
def test_the_demo_shows_each_step_and_its_totals_are_right(odd_folder: Path, tmp_path: Path) -> None:
    """Refused, enqueued, killed, recovered, retried, kept as a dead letter, compared: with an exit code to rely on."""
    done = run_demo(tmp_path, str(odd_folder))
    said = done.stdout

    assert done.returncode == 0, said + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in said
    # 1: the refusal, as it is raised.
    assert "InvalidArguments: weigh(path=42): path must be bytes, got int 42. Nothing was enqueued." in said
    # 2: seven files, four of them scripts.
    assert "11 jobs were checked, encoded and written to disk" in said
    # 4: somebody died, and nothing was lost.
    held = re.search(r"died holding (\d+) jobs", said)
    assert held is not None
    assert int(held[1]) > 0
    assert f"Interrupted: {held[1]} jobs. Recovered: {held[1]}, {held[1]} at a further attempt." in said
    # 5 and 6: retries, and the demo's own broken file; the folder's own is named too.
    assert "attempt 3: success, the result is 'answered at attempt 3'" in said
    assert "failed: SyntaxError: invalid syntax (broken.py, line 1)" in said
    assert "Dead letters in the queue: 2." in said
    assert "inner/nul.py" in said
    # 7: the totals.
    files = [path for path in odd_folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    size = sum(path.stat().st_size for path in files)
    assert f"The totals are equal: {len(files)} files, {size:,} bytes, 63 lines." in said
    for row in ("python files  4  4", "unparsed  1  1", "functions  3  3", "classes  1  1"):
        assert re.search(row.replace("  ", r"\s+") + r"\s+equal", said), row
    assert list((tmp_path / "scratch #1").iterdir()) == [], "nothing is left behind"


@pytest.mark.timeout(PATIENCE + 20)
def test_an_empty_folder_is_a_demo_too_and_keep_keeps(tmp_path: Path) -> None:
    """There is still a worker to kill; `--keep` leaves a queue that other commands can look into."""
    empty = tmp_path / "empty"
    empty.mkdir()

    done = run_demo(tmp_path, str(empty), "--keep")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "The totals are equal: 0 files, 0 bytes, 0 lines." in done.stdout
    command = done.stdout.splitlines()[-1].split()
    assert command[0] == "typedgator"
    listed = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "SyntaxError: invalid syntax (broken.py, line 1)" in listed.stdout


@pytest.mark.timeout(PATIENCE + 20)
def test_totals_that_differ_are_named_and_make_the_exit_code_1(tmp_path: Path) -> None:
    """Here somebody writes to a file after the workers have read it."""
    folder = tmp_path / "changing"
    folder.mkdir()
    (folder / "log.txt").write_text("one\n")
    (folder / "other.txt").write_text("other\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "typedgator", "demo", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"All \d+ jobs are done", line):
            break

    (folder / "log.txt").write_text("one\ntwo\n")
    said, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert "The totals differ in size, lines, digest:" in said
    assert "log.txt: the workers Weight(size=4, lines=1" in said
    assert "other.txt" not in said


@pytest.mark.parametrize(("name", "said"), [("nope", "does not exist"), ("file", "is a file, not a folder")])
def test_a_path_that_is_no_folder_is_refused_in_one_line(tmp_path: Path, name: str, said: str) -> None:
    """Exit code 2, and nothing was started."""
    (tmp_path / "file").touch()

    done = run_demo(tmp_path, str(tmp_path / name))

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


@pytest.mark.timeout(PATIENCE + 20)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_interrupted_leaves_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Its workers end with it, and its temporary folder goes."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "typedgator", "demo", str(tmp_path)],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pids: list[int] = []
    for line in process.stdout:
        pids += [int(pid) for pid in re.findall(r"is process (\d+)", line)]
        if len(pids) == 2:
            break

    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == code
    assert "Traceback" not in errors
    assert list(scratch.iterdir()) == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_plain_walk_counts_what_hashlib_counts(odd_folder: Path) -> None:
    """The yardstick itself, by hand."""
    from typedgator.cli.demo.measuring import Weight, plain_walk, totals_of

    findings = plain_walk(str(odd_folder))

    digest = blake2b((odd_folder / "no newline").read_bytes(), digest_size=8).hexdigest()
    assert findings.weights[os.fsencode(odd_folder / "no newline")] == Weight(7, 2, digest)
    totals = totals_of(findings)
    assert (totals.files, totals.python_files, totals.unparsed, totals.functions, totals.classes) == (7, 4, 1, 3, 1)
    lost = findings._replace(weights=dict(list(findings.weights.items())[1:]))
    assert totals_of(lost) != totals
