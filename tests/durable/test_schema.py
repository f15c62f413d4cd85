"""Opening the file: created, migrated after a backup, or refused with its bytes untouched."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from buoy.durable import inbox, schema
from buoy.durable.store import Store, peek
from buoy.errors import StoreError
from tests.durable.rows import arrival

NEXT = (*schema.STEPS, "ALTER TABLE inbox ADD COLUMN mood TEXT; INSERT INTO meta VALUES ('moved', 'true')")


def filled(directory: Path, rows: int = 1) -> Path:
    """A closed database with some rows."""
    directory.mkdir()
    writer, reader = schema.open_file(directory)
    for n in range(rows):
        inbox.put(writer, arrival(f"k{n}", frame=b"x" * 500), None)
    reader.close()
    writer.close()
    return directory / schema.FILE


def tables(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir() if not file.name.endswith("-shm")}


def test_an_empty_directory_gets_the_whole_schema(tmp_path: Path) -> None:
    file = filled(tmp_path / "data")
    db = sqlite3.connect(file)
    assert tables(db) >= {"inbox", "outbox", "cursor", "identify", "gap", "note", "meta", "permission"}
    assert db.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS),)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_the_writer_is_as_durable_as_the_design_says(tmp_path: Path) -> None:
    writer, reader = schema.open_file(tmp_path)
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM inbox")
    reader.close()
    writer.close()


def test_an_older_schema_is_migrated_after_a_backup(tmp_path: Path) -> None:
    file = filled(tmp_path / "data")
    writer, reader = schema.open_file(file.parent, NEXT)
    assert writer.execute("PRAGMA user_version").fetchone() == (len(NEXT),)
    assert reader.execute("SELECT key, mood FROM inbox").fetchall() == [("k0", None)]
    reader.close()
    writer.close()
    backup = file.with_name(f"buoy.db.v{len(schema.STEPS)}.bak")
    assert backup.stat().st_mode & 0o077 == 0
    old = sqlite3.connect(backup)
    assert old.execute("SELECT key FROM inbox").fetchall() == [("k0",)]
    assert old.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS),)
    old.close()
    assert not list(file.parent.glob("*.part"))


def test_a_migration_that_fails_leaves_the_old_database(tmp_path: Path) -> None:
    file = filled(tmp_path / "data")
    broken = (*schema.STEPS, "ALTER TABLE inbox ADD COLUMN mood TEXT; INSERT INTO nowhere VALUES (1)")
    with pytest.raises(StoreError, match="nothing of it was changed"):
        schema.open_file(file.parent, broken)
    writer, reader = schema.open_file(file.parent)
    with pytest.raises(sqlite3.OperationalError, match="mood"):
        reader.execute("SELECT mood FROM inbox")
    reader.close()
    writer.close()


def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    file = filled(tmp_path / "data")
    writer, reader = schema.open_file(file.parent, NEXT)
    reader.close()
    writer.close()
    before = bytes_of(file.parent)
    with pytest.raises(
        StoreError, match=rf"has schema {len(NEXT)} and this Buoy knows {len(schema.STEPS)}.*install the newer Buoy"
    ):
        Store.open(file.parent, now=1.0)
    with pytest.raises(StoreError, match=f"has schema {len(NEXT)}"):
        peek(file.parent)
    (file.parent / "lock").unlink()
    assert {name: data for name, data in bytes_of(file.parent).items() if data} == before


@pytest.mark.parametrize("damage", ["header", "middle", "late", "short", "text"])
def test_a_corrupted_file_is_refused_and_not_touched(tmp_path: Path, damage: str) -> None:
    file = filled(tmp_path / "data", rows=300)
    data = bytearray(file.read_bytes())
    if damage == "header":
        data[:16] = b"not a database!!"
    elif damage == "middle":
        data[8192 : len(data) // 2] = os.urandom(len(data) // 2 - 8192)
    elif damage == "late":
        data[-8192:-4096] = bytes(4096)  # one page that no first glance meets
    elif damage == "short":
        del data[len(data) // 2 :]
    else:
        data[:] = b"hello\n" * 1000
    file.write_bytes(data)
    with pytest.raises(StoreError, match="it was not touched; restore"):
        Store.open(file.parent, now=1.0)
    assert file.read_bytes() == data
    with pytest.raises(StoreError):
        peek(file.parent)


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / schema.FILE)
    db.execute("CREATE TABLE theirs (a)")
    db.commit()
    db.close()
    before = (tmp_path / schema.FILE).read_bytes()
    with pytest.raises(StoreError, match="database of another program"):
        Store.open(tmp_path, now=1.0)
    assert (tmp_path / schema.FILE).read_bytes() == before


def test_after_a_refusal_the_directory_is_free_again(tmp_path: Path) -> None:
    (tmp_path / schema.FILE).write_bytes(b"hello\n" * 1000)
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be read"):
            Store.open(tmp_path, now=1.0)
    (tmp_path / schema.FILE).unlink()
    asyncio.run(Store.open(tmp_path, now=1.0).close(5))


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another data_dir"):
        Store.open(tmp_path / "file" / "data", now=1.0)


def test_peek_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no database in .*check data_dir"):
        peek(tmp_path / "nowhere")
    (tmp_path / schema.FILE).touch()
    with pytest.raises(StoreError, match="start `buoy run` once"):
        peek(tmp_path)


def test_peek_reads_beside_the_writer_and_after_its_death(tmp_path: Path) -> None:
    """A killed process leaves a WAL that was never checkpointed; a copy of its files is the same thing."""
    data, dead = tmp_path / "data", tmp_path / "dead"

    async def main() -> None:
        store = Store.open(data, now=1.0)
        await store.write(inbox.put, arrival("k1"), None)
        beside = peek(data)
        assert beside.execute("SELECT key FROM inbox").fetchall() == [("k1",)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            beside.execute("DELETE FROM inbox")
        await store.write(inbox.put, arrival("k2"), None)
        assert beside.execute("SELECT key FROM inbox").fetchall() == [("k1",), ("k2",)]
        beside.close()
        shutil.copytree(data, dead)
        await store.close(5)

    asyncio.run(main())
    assert (dead / "buoy.db-wal").stat().st_size > 0
    after = peek(dead)
    assert after.execute("SELECT key FROM inbox").fetchall() == [("k1",), ("k2",)]
    after.close()
    (dead / "buoy.db-shm").unlink(missing_ok=True)
    after = peek(dead)
    assert len(after.execute("SELECT key FROM inbox").fetchall()) == 2
    after.close()


def test_the_durable_layer_knows_no_platform_and_no_library() -> None:
    """It runs with the standard library alone: a process without site-packages imports all of it."""
    source = Path(schema.__file__).parents[2]
    modules = ["store", "inbox", "outbox", "sessions", "lanes", "backoff", "lock", "meta", "trace", "retention"]
    code = f"import sys; sys.path.insert(0, {str(source)!r}); " + "; ".join(
        f"import buoy.durable.{name}" for name in modules
    )
    code += "; print(*sorted(m for m in sys.modules if m.startswith('buoy.')))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    others = {name for name in done.stdout.split() if not name.startswith("buoy.durable")}
    assert others == {"buoy.errors", "buoy.letters"}
