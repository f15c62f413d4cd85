"""Every task, thread and server that the product starts: either the supervisor keeps it, or the reason stands here.

A place that is new fails this test. Then either hand the work to ``Supervisor.keep`` or ``Supervisor.start``, or add
the place here, with who waits for its end and who notices that it failed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clock
from tests.shells.rig import rig

SRC = Path(__file__).parent.parent / "src" / "buoy"
WORDS = """
create_task ensure_future TaskGroup gather as_completed Task run_coroutine_threadsafe run_in_executor to_thread
Thread Timer Process Popen create_subprocess_exec create_subprocess_shell subprocess_exec subprocess_shell
start_server start_unix_server create_server
"""
STARTERS = frozenset(WORDS.split())
WHY = {
    "gateway/supervisor.py Supervisor.keep create_task": "it is the supervisor",
    "gateway/supervisor.py Supervisor._keep create_task": "the service itself: a cancellation of its own ends only it",
    "gateway/supervisor.py Supervisor.start create_task": "it is the supervisor: a job's failure is logged and counted",
    "gateway/app.py App.stop ensure_future": "the end of a platform or an agent: `_ended` bounds it, says what failed",
    "gateway/watch.py Watch._leave Thread": "the last words: who started it ends the process, whatever becomes of them",
    "gateway/watch.py Watch.__init__ Thread": "the watch needs no loop; it ends the process, and `_leave` cannot fail",
    "durable/store.py Store._flush run_in_executor": "one commit: `_ended` takes its error",
    "durable/reader.py Reader.read run_in_executor": "one look: its caller waits for it, and is told its error",
    "durable/store.py Store.close run_in_executor": "the last checkpoint: close() waits for it, within its time",
    "platforms/qq/connection.py Connection._start create_task": "`_task_ended` ends run() with its error; that is kept",
    "platforms/qq/clicks.py Acknowledger.stored create_task": "3 s at most: `_ended` logs its failure, `close` ends it",
    "transport/token.py TokenSource._start create_task": "one fetch for all: `_ended` remembers its failure",
    "transport/route.py Resolver.resolve Thread": "a look-up that may never end: who waits for it has a deadline",
    "platforms/console.py Console._next_line Thread": "blocks in a terminal: daemon, its end is the input's end",
    "agents/pictures.py shown gather": "a turn's pictures: it waits for all of them, and its end is theirs",
    "agents/isolated.py main Thread": "in the agent's own process, which its parent replaces",
    "agents/notebook.py Notebook.put to_thread": "one small write: `put` waits for it; it fails silently on purpose",
    "agents/hermes.py Hermes._begun ensure_future": "a request: awaited; where that is cancelled, for a moment more",
    "agents/hermes.py Run._unless_over ensure_future": "a question and a look at its run: both awaited",
    "agents/hermes.py Run._unless_over gather": "the ends of these two: what they had to say was taken before",
    "agents/acp_peer.py Peer.prompt ensure_future": "one prompt: its turn awaits it; cancelled, awaits its end",
    "agents/acp_client.py Client._decided ensure_future": "a question to a person: awaited, cancelled with its turn",
    "agents/leash.py main Thread": "in a process of its own, which it ends when our end of its pipe closes",
    "agents/child.py Child.start subprocess_exec": "a turn's command or the pool's child: `ended` tells its user",
    "faces/web/server.py Web._listen create_server": "Web.run is kept, and closes it; failing requests are answered",
    "faces/outlet.py Outlet.__init__ Thread": "writes log lines, survives every error; without it the log is silent",
    "faces/aside.py aside Thread": "work that may never end: who waits for it has a deadline, and gets its error",
    "faces/doctor/calls.py Rest.examine gather": "bounded calls; a failure ends the command with its traceback",
    "faces/doctor/examination.py examine gather": "bounded looks; a failure ends the command with its traceback",
    "faces/doctor/examination.py _machine gather": "as above",
    "faces/doctor/examination.py _qq gather": "as above",
    "faces/doctor/trial.py attempt ensure_future": "a connection of seconds: `attempt` awaits its end and its error",
    "faces/library.py _Life.start create_task": "a start that a stop may end: who started it waits, and gets its error",
    "faces/library.py _Life._stop create_task": "the end, for all who stop it: bounded, and they get its error",
    "faces/hermes/adapter.py _start ensure_future": "`_ended` logs its error; it must outlive Hermes' cancellations",
    "faces/hermes/taking_over.py take_over to_thread": "Hermes' own look at its ledger: awaited, and its error logged",
    "faces/hermes/standalone.py _send to_thread": "a question to the control socket: awaited, its error is told",
    "faces/control.py Control.start start_server": "stopped with the process; a failing request answers with its error",
}
OURS_ALONE = ("sim/", "faces/demo")  # the other end of the wire and a show: their tests end what they start


def starters(path: Path, source: Path) -> Iterator[str]:
    """Where a module starts something: file, function, with what."""
    where = path.relative_to(source).as_posix()

    def walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            is_scope = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.Call):
                name = getattr(child.func, "attr", getattr(child.func, "id", ""))
                if name in STARTERS:
                    yield f"{where} {'.'.join(names)} {name}"
            yield from walk(child, (*names, child.name) if is_scope else names)  # type: ignore[attr-defined]

    return walk(ast.parse(path.read_text("utf-8")), ())


def found(source: Path = SRC) -> set[str]:
    files = [path for path in source.rglob("*.py") if not path.relative_to(source).as_posix().startswith(OURS_ALONE)]
    return {place for path in files for place in starters(path, source)}


def test_nothing_is_started_without_somebody_who_notices_its_end() -> None:
    new = found() - WHY.keys()
    assert not new, f"started outside the supervisor, and no reason says why: {sorted(new)}"


def test_every_reason_still_has_its_place() -> None:
    assert WHY.keys() - found() == set()


@pytest.mark.parametrize(
    "line",
    [
        "asyncio.create_task(x())",
        "self._loop.create_task(x())",
        "threading.Thread(target=x).start()",
        "ensure_future(x())",
        "async with asyncio.TaskGroup() as group: pass",
        "await asyncio.gather(x(), y())",
    ],
)
def test_a_new_place_is_seen(line: str, tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text(f"class A:\n    async def run(self):\n        {line}\n", "utf-8")
    (place,) = found(tmp_path) - WHY.keys()
    assert place.startswith("new.py A.run ")


def test_the_services_of_a_gateway_are_these() -> None:
    """The test of every service's restart goes over what runs; this names it, so that none gets lost on the way."""

    async def main() -> None:
        async with rig() as r:
            await r.app.start()
            wanted = {f"qq:{r.qq.bot}:shard0", f"qq:{r.qq.bot}:hosts", "housekeeping"}
            assert set(r.app.supervisor.children) == wanted
            connection = r.qq.connection
            assert connection is not None
            await connection.stop()

    clock.run(main())
