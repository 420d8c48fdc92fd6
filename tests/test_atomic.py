import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medseg import atomic
from medseg.errors import MedsegError


def test_a_file_that_cannot_be_written_keeps_its_old_content(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    atomic.write_json(path, {"status": "running"})

    def full(self, data):
        with open(self, "wb") as stream:
            stream.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MedsegError, match="The disk is full"):
        atomic.write_json(path, {"status": "finished"})
    assert json.loads(path.read_text()) == {"status": "running"}
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="uses a file size limit of the system")
def test_a_refusal_of_the_system_itself_is_explained(tmp_path):
    code = f"""
import resource, signal
from pathlib import Path
from medseg import atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    atomic.write_bytes(Path({str(tmp_path / "table.csv")!r}), b"x" * 5000)
except atomic.MedsegError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("Could not write"), done.stderr
    assert os.listdir(tmp_path) == []


def test_json_has_no_name_for_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []


def test_replacing_a_folder_is_all_or_nothing(tmp_path):
    target = tmp_path / "data"
    with atomic.replacing_folder(target) as draft:
        (draft / "old").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic.replacing_folder(target) as draft:
        (draft / "new").write_text("new")
        raise KeyboardInterrupt
    assert [path.name for path in target.iterdir()] == ["old"]
    with atomic.replacing_folder(target) as draft:
        (draft / "new").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["data"]


def test_two_processes_cannot_replace_the_same_folder(tmp_path):
    with (
        atomic.replacing_folder(tmp_path / "data"),
        pytest.raises(MedsegError, match="Another process is writing"),
        atomic.replacing_folder(tmp_path / "data"),
    ):
        pass


def test_what_a_killed_process_left_is_removed_and_never_taken_for_data(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from medseg import atomic\n"
        f"with atomic.replacing_folder(Path({str(tmp_path / 'data')!r})) as draft:\n"
        "    (draft / 'half').write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "ready"
    process.kill()
    process.wait()
    assert not (tmp_path / "data").exists()
    assert list(tmp_path.glob(".data.*.partial"))
    deadline = time.monotonic() + 10
    with atomic.replacing_folder(tmp_path / "data") as draft:
        assert time.monotonic() < deadline
        assert list(draft.iterdir()) == []
    assert not list(tmp_path.glob(".data.*.partial"))


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path):
    (tmp_path / ".data.retired").mkdir()
    (tmp_path / ".data.retired" / "old").write_text("old")
    with pytest.raises(RuntimeError), atomic.replacing_folder(tmp_path / "data"):
        raise RuntimeError
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["old"]


def test_a_file_gets_a_second_name_or_a_copy_where_the_disk_has_no_links(tmp_path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"weights")
    target.write_bytes(b"what was there")
    atomic.link(source, target)
    assert target.samefile(source)

    def refused(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    atomic.link(source, target)
    assert not target.samefile(source)
    assert target.read_bytes() == b"weights"
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}
